"""The caller's side of a scenario: one connection at a time, values saved on the way, log-ins made when needed."""

from __future__ import annotations

import http.client
import json
import re
import ssl
from typing import Any
from urllib.parse import quote, urlencode

from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN

FORM = "application/x-www-form-urlencoded"
_NAME = re.compile(r"\$\{([\w.-]+)\}")
_UNQUOTED = "/!@:?=&%+,"  # a scenario's path may hold a query and percent-encoding of its own
_TIMEOUT = 30


class Conversation:
    """The calls of one scenario against one server."""

    def __init__(self, host: str, port: int, ca_file: str) -> None:
        self._address = (host, port)
        self._context = ssl.create_default_context(cafile=ca_file)
        self._connection: http.client.HTTPSConnection | None = None
        self._saved: dict[str, Any] = {}
        self._logins: dict[str, dict[str, str]] = {}

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def run(self, step: dict[str, Any]) -> dict[str, Any]:
        """Make the call of a step. Returns status, reason and body; a body that is no JSON is ``{"_text": ...}``."""
        step = self._filled({key: value for key, value in step.items() if key != "response"})
        method = step["method"]
        headers = self._credentials(step.get("as"), method)
        target = "/api2/json" + quote(step["path"], safe=_UNQUOTED)
        body: str | None = "" if method in ("POST", "PUT") else None
        if "json" in step:
            body, headers["Content-Type"] = json.dumps(step["json"]), "application/json"
        elif "raw" in step:
            body, headers["Content-Type"] = step["raw"], step.get("content_type", FORM)
        elif step.get("form"):
            form = urlencode(step["form"], doseq=True)
            if body is None:
                target += "?" + form
            else:
                body, headers["Content-Type"] = form, FORM
        status, reason, answer = self._send(method, target, body, headers)
        for name, path in step.get("save", {}).items():
            self._saved[name] = _at(answer, path)
        return {"status": status, "reason": reason, "body": answer}

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return _NAME.sub(lambda match: str(self._saved[match[1]]), value)
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        if isinstance(value, dict):
            return {self._filled(key): self._filled(item) for key, item in value.items()}
        return value

    def _credentials(self, who: Any, method: str) -> dict[str, str]:
        if who == "none":
            return {}
        if who in (None, "root"):
            who = {"token": ROOT_TOKEN, "secret": ROOT_SECRET}
        if "header" in who:
            return {"Authorization": who["header"]}
        if "token" in who:
            return {"Authorization": f"PVEAPIToken={who['token']}={who['secret']}"}
        login = self._login(who["user"], who["password"])
        headers = {"Cookie": "PVEAuthCookie=" + quote(login["ticket"], safe="")}
        csrf = who.get("csrf", True)
        if csrf and method != "GET":
            headers["CSRFPreventionToken"] = login["CSRFPreventionToken"] if csrf is True else csrf
        return headers

    def _login(self, user: str, password: str) -> dict[str, str]:
        if user not in self._logins:
            form = urlencode({"username": user, "password": password})
            status, reason, answer = self._send("POST", "/api2/json/access/ticket", form, {"Content-Type": FORM})
            if status != http.client.OK:
                raise RuntimeError(f"no log-in as {user}: {status} {reason}")
            self._logins[user] = answer["data"]
        return self._logins[user]

    def _send(self, method: str, target: str, body: str | None, headers: dict[str, str]) -> tuple[int, str, Any]:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(*self._address, timeout=_TIMEOUT, context=self._context)
        self._connection.request(method, target, body=None if body is None else body.encode(), headers=headers)
        response = self._connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        if response.will_close:
            self.close()
        return response.status, response.reason, _body(text)


def _body(text: str) -> Any:
    if not text:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return {"_text": text}
    return {"_text": text} if value is None else value  # the word null is not the same as no body


def _at(value: Any, path: str) -> Any:
    for piece in path.split("."):
        if isinstance(value, list) and piece.isdigit():
            value = value[int(piece)]
        else:
            value = value.get(piece) if isinstance(value, dict) else None
    return value
