"""The datacenter's firewall options out of their file, for a pvesh that cannot show them.

From pve-manager 9.2.7 to 9.2.11, pvesh breaks down over this one call that is needed here.
"""

from __future__ import annotations

import json
import os
import re
import time

from .digest import list_digest
from .pvesh_answer import refusal
from .transport import Answer

ASKED = ("GET", "/cluster/firewall/options")
_OK, _FAILED = 200, 500
_FILE = os.path.join("firewall", "cluster.fw")
# The cluster's file system shows this file in every folder of its own making, and nowhere else.
_MOUNTED = ".version"
# An option that is on for a try goes off after as many seconds.
_TRY = 60

_OF_OPTIONS = re.compile(r"\[options\]", re.IGNORECASE)
_OF_OTHERS = re.compile(r"\[(?:aliases|rules|(?:group|ipset)\s+\S+)\]\s*(?:#.*)?", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"(enable):\s*(\d+)\s*", re.IGNORECASE | re.ASCII)
_FLAG = re.compile(r"(ebtables):\s*(0|1)\s*", re.IGNORECASE | re.ASCII)
_POLICY = re.compile(r"(policy_(?:in|out|forward)):\s*(ACCEPT|DROP|REJECT)\s*", re.IGNORECASE | re.ASCII)
_LIMIT = re.compile(r"(log_ratelimit):\s*(\S+)\s*", re.ASCII)

Options = dict[str, "str | int"]


def read_options(folder: str) -> Answer:
    """Return what PVE would answer, by the file in the cluster's ``folder``: the options that are set, and a digest."""
    path = os.path.join(folder, _FILE)
    try:
        os.stat(os.path.join(folder, _MOUNTED))
        with open(path, encoding="latin-1") as file:
            text = file.read()
    except FileNotFoundError as error:
        if error.filename != path:
            return refusal(_FAILED, f"{folder} is not mounted: pve-cluster does not run")
        text = ""
    except OSError as error:
        return refusal(_FAILED, f"{path} cannot be read: {error.strerror}")
    options = parse_options(text, time.time())
    return Answer(_OK, "OK", json.dumps({"data": {**options, "digest": list_digest([options])}}).encode())


def parse_options(text: str, now: float) -> Options:
    """Return the options in a file's text as PVE reads them at a time; lines that it does not know do not count."""
    found: Options = {}
    inside = False
    for raw in text.split("\n"):
        line = raw.strip(" \t\xa0")
        if _OF_OPTIONS.fullmatch(line):
            inside = True
        elif _OF_OTHERS.fullmatch(line):
            inside = False
        elif inside:
            found.update(_option(line, now))
    return found


def _option(line: str, now: float) -> Options:
    number = _NUMBER.fullmatch(line)
    if number:
        value = int(number[2])
        return {"enable": 0 if value > 1 and now - value > _TRY else value}
    flag = _FLAG.fullmatch(line)
    if flag:
        return {"ebtables": int(flag[2])}
    policy = _POLICY.fullmatch(line)
    if policy:
        return {policy[1].lower(): policy[2].upper()}
    limit = _LIMIT.fullmatch(line)
    return {limit[1]: limit[2]} if limit else {}
