"""The doctor on the host's side: what is read there, with pvesh on a node or with an admin's token over HTTPS.

Nothing is changed. What cannot be read is told as a check that was skipped.
"""

from __future__ import annotations

import ipaddress
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable

from ..access.document import Document
from ..access.model import AccessState
from ..access.observe import observe
from ..client.errors import ApiError, PveError
from ..client.http import Client
from ..firewall.guard import Host, Situation
from ..firewall.observe import View
from ..firewall.scope import DATACENTER, NODE, Scope
from ..policy.observe import read_ruleset
from ..policy.sources import Recorder
from . import host_side
from .iptables import read_iptables
from .login import failed_call
from .nftables import read_nftables
from .reach import API_PORT
from .report import HOST, Check, Report, Steps, skipped
from .rights import needs_of

_SERVICES = ("pve-cluster", "pvedaemon", "pveproxy")
_DEFAULTS = "/etc/default/pveproxy"
_SECONDS = 20
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class HostQuestion:
    """What is asked of the host's side.

    ``subject`` is the token id or user id that does not get in, empty if it is not known; ``clients`` are addresses
    that it comes from. ``on_node`` tells whether this runs on the node itself, where more can be looked at.
    """

    subject: str = ""
    clients: tuple[str, ...] = ()
    port: int = API_PORT
    path: str | None = None
    application: str | None = None
    on_node: bool = False


def examine_host(client: Client, question: HostQuestion, *, clock: Callable[[], float] = time.time) -> Report:
    """Take all steps. Raises nothing for what it is there to find."""
    steps = Steps(HOST)
    if question.on_node:
        _look_at_node(steps, question)
    looked = _Asked(client, question, clock())
    steps.take("quorum", looked.quorum)
    steps.take("firewall", looked.firewall)
    if question.on_node:
        configured = steps.passed("firewall")
        steps.take("packet_filter", lambda: _packet_filter(question, configured=configured))
    steps.take("user", lambda: looked.of_state(host_side.judge_user))
    steps.take("token", lambda: looked.of_state(host_side.judge_token), needs=["user"])
    steps.take("acl", looked.acl, needs=["user"])
    steps.take("secret", lambda: skipped("PVE shows it to nobody: whether it is right, only a log-in tells."))
    return Report(tuple(steps.checks))


# -- over the API ------------------------------------------------------------------------------------------------------


class _Asked:
    """What the API tells an admin, asked when it is needed, and once."""

    def __init__(self, client: Client, question: HostQuestion, now: float) -> None:
        self.client = client
        self.question = question
        self.now = now
        self._status: Sequence[Mapping[str, Any]] | None = None
        self._state: AccessState | Check | None = None

    def _rows(self) -> Sequence[Mapping[str, Any]]:
        if self._status is None:
            self._status = self.client.get("/cluster/status")
        return self._status

    def quorum(self) -> Check:
        try:
            return host_side.judge_quorum(self._rows())
        except ApiError as error:
            return host_side.unseen(error)
        except PveError as error:
            return failed_call(error)

    def firewall(self) -> Check:
        if not self.question.clients:
            return skipped("It is not known where the client comes from: give client_addresses.")
        try:
            local = next((row for row in self._rows() if row.get("local")), {})
            node, address = str(local.get("name", "")), str(local.get("ip", ""))
            recorder = Recorder(self.client.read_only())
            view = View(recorder)
            situation = Situation(
                read_ruleset(recorder, view, DATACENTER), read_ruleset(recorder, view, Scope(NODE, node))
            )
            host = _host(node, address, view.try_to_read(f"/nodes/{node}/network") or [])
        except ApiError as error:
            return host_side.unseen(error)
        except PveError as error:
            return failed_call(error)
        return host_side.judge_firewall(host, situation, self.question.clients, self.question.port)

    def state(self) -> AccessState | Check:
        """Return users, tokens, ACL and the rest, or why they cannot be seen."""
        if self._state is None:
            try:
                view = observe(self.client, Document(), self.now)
            except ApiError as error:
                self._state = host_side.unseen(error)
            except PveError as error:
                self._state = failed_call(error)
            else:
                whole = {"users", "groups", "acl"} <= view.complete
                hidden = f"{self.client.identity} may not see all users and ACL entries: give it PVEAuditor on /."
                self._state = view.state if whole else skipped(hidden)
        return self._state

    def of_state(self, judge: Callable[[AccessState, str, float], Check]) -> Check:
        if not self.question.subject:
            return skipped("It is not known who asks: no whole token id or user id is given.")
        found = self.state()
        return found if isinstance(found, Check) else judge(found, self.question.subject, self.now)

    def acl(self) -> Check:
        try:
            wanted = needs_of(self.question.path, self.question.application, self.client.release)
        except PveError as error:
            return failed_call(error)
        return self.of_state(lambda state, subject, unused: host_side.judge_acl(state, subject, wanted))


def _host(node: str, address: str, networks: Sequence[Mapping[str, Any]]) -> Host:
    """Return the node with its addresses and the network that PVE takes for the local one, as far as they are shown."""
    cidrs = [str(row[key]) for row in networks for key in ("cidr", "cidr6") if row.get(key)]
    mine = [ipaddress.ip_interface(cidr) for cidr in cidrs if cidr.partition("/")[0] == address]
    local = str(mine[0].network) if mine else None
    return Host(node, tuple(cidrs) or ((address,) if address else ()), local)


# -- on the node -------------------------------------------------------------------------------------------------------


def _look_at_node(steps: Steps, question: HostQuestion) -> None:
    tables = [_read(name) for name in ("/proc/net/tcp", "/proc/net/tcp6")]
    found = host_side.listeners(*(table for table in tables if table))
    steps.take("listening", lambda: host_side.judge_listening(found, question.port))
    for name in _SERVICES:
        steps.take(name, partial(_service, name))
    steps.take("pveum", _pveum)
    defaults = _read(_DEFAULTS) or ""
    steps.take("allowed", lambda: _allowed(defaults, question.clients))


def _service(name: str) -> Check:
    said = _say("systemctl", "is-active", name)
    return skipped("There is no systemctl here.") if said is None else host_side.judge_service(name, said)


def _pveum() -> Check:
    """Look whether the commands that the mends name are those of this release."""
    done = _run("pveum", "user", "token", "list", "root@pam")
    return skipped("There is no pveum here.") if done is None else host_side.judge_pveum(done.returncode, done.stderr)


def _allowed(defaults: str, clients: Sequence[str]) -> Check:
    if not clients:
        return skipped("It is not known where the client comes from: give client_addresses.")
    return host_side.judge_allowed(defaults, clients)


def _packet_filter(question: HostQuestion, *, configured: bool) -> Check:
    if not question.clients:
        return skipped("It is not known where the client comes from: give client_addresses.")
    sets = _say("ipset", "save") or ""
    saved = {4: _say("iptables-save"), 6: _say("ip6tables-save")}
    filters = [read_iptables(text, sets, version=version) for version, text in saved.items() if text]
    ruleset = _say("nft", "--json", "list", "ruleset")
    try:
        filters += read_nftables(ruleset) if ruleset else []
    except (ValueError, KeyError, TypeError):
        return skipped("What nft prints is not understood: look at nft list ruleset.")
    if not filters:
        return skipped("Neither iptables-save nor nft says anything here.")
    return host_side.judge_filters(filters, question.clients, question.port, configured=configured)


def _read(name: str) -> str | None:
    try:
        with open(name, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return None


def _say(*command: str) -> str | None:
    """Return what a command prints, None where it cannot be run."""
    done = _run(*command)
    return None if done is None else done.stdout


def _run(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Run a command that only reads; None where it cannot be run."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={"PATH": f"{os.environ.get('PATH', '')}:{_SYSTEM}", "LC_ALL": "C"},
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
