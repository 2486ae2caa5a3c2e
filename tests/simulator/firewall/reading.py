"""Reading a firewall file: sections, and what a line means in each of them. Lines that mean nothing are dropped."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release

from ..errors import ApiError
from .addresses import MAX_NAME, shortened
from .config import Config, Place, Row, Scopes
from .names import FORWARD_SINCE, IS_NAME, MAX_GROUP_NAME, alias_reference
from .rules import verify_rule
from .text import from_file, true

# Blanks at the ends of a line are trimmed byte by byte, and A0 counts as one: a letter that ends in it loses it.
_LINE = re.compile(r"^[ \t\xa0]*(.*?)[ \t\xa0]*$", re.MULTILINE)
_HEADER = re.compile(r"\[(group|ipset)\s+(\S+)\]\s*(?:#\s*(.*?)\s*)?$", re.IGNORECASE | re.ASCII)
_COMMENT = re.compile(r"#\s*(.*?)\s*$", re.ASCII)
_MACRO = re.compile(r"(\S+)\((ACCEPT|DROP|REJECT)\)$", re.ASCII)
_LEVELS = "emerg|alert|crit|err|warning|notice|info|debug|nolog"
_SWITCH = re.compile(rf"-(source|dest|p|dport|sport|icmp-type) (\S+)\s*|-(log) ({_LEVELS})\s*", re.ASCII)
_IFACE = re.compile(r"-i (\S+)\s*", re.ASCII)
_ENABLED_SECONDS = 60
_SECTIONS = {
    "cluster": ("options", "aliases", "ipset", "rules", "group"),
    "host": ("options", "rules"),
    "vm": ("options", "aliases", "ipset", "rules"),
    "ct": ("options", "aliases", "ipset", "rules"),
    "vnet": ("options", "rules"),
}
# By place: names of options and the pattern of their values. Others do not survive.
_FLAG, _NUMBER, _POLICY, _LEVEL = "0|1", r"\d+", "ACCEPT|DROP|REJECT", rf"(?:{_LEVELS})?"
_GUEST_OPTIONS = {
    **dict.fromkeys(("enable", "dhcp", "ndp", "radv", "macfilter", "ipfilter", "ips"), _FLAG),
    **dict.fromkeys(("log_level_in", "log_level_out"), _LEVEL),
    **dict.fromkeys(("policy_in", "policy_out"), _POLICY),
    "ips_queues": r"\d+(?::\d+)?",
    "layer2_protocols": r"\S+",
}
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "cluster": {
        "enable": _NUMBER,
        "ebtables": _FLAG,
        "policy_in": _POLICY,
        "policy_out": _POLICY,
        "policy_forward": "ACCEPT|DROP",
        "log_ratelimit": r"\S+",
    },
    "host": {
        **dict.fromkeys(("enable", "nosmurfs", "tcpflags", "ndp", "log_nf_conntrack", "nftables"), _FLAG),
        **dict.fromkeys(("nf_conntrack_allow_invalid", "protection_synflood"), _FLAG),
        **dict.fromkeys(("log_level_in", "log_level_out", "log_level_forward"), _LEVEL),
        **dict.fromkeys(("tcp_flags_log_level", "smurf_log_level"), _LEVEL),
        **dict.fromkeys(("nf_conntrack_max", "nf_conntrack_tcp_timeout_established"), _NUMBER),
        **dict.fromkeys(("nf_conntrack_tcp_timeout_syn_recv", "protection_synflood_rate"), _NUMBER),
        "protection_synflood_burst": _NUMBER,
        "nf_conntrack_helpers": r"\S+",
    },
    "vm": _GUEST_OPTIONS,
    "ct": _GUEST_OPTIONS,
    "vnet": {"enable": _FLAG, "policy_forward": "ACCEPT|DROP", "log_level_forward": _LEVEL},
}


class _Nothing(ValueError):
    """A line that is not what its section holds."""


def read(
    text: str, place: Place, datacenter: Config | None, release: Release, now: float, sdn: frozenset[str] = frozenset()
) -> Config:
    """Parse a file. ``datacenter`` is the parsed file of the datacenter; None while that is what is being read."""
    config = Config()
    if text:
        config.rules = []
        _Reader(config, place, Scopes(datacenter or config, config, sdn), release, now).run(text)
    return config


class _Reader:
    def __init__(self, config: Config, place: Place, scopes: Scopes, release: Release, now: float) -> None:
        self.config = config
        self.env = place.env
        self.scopes = scopes
        self.release = release
        self.now = now
        self.section = ""
        self.name = ""  # of the group or the IP set

    def run(self, text: str) -> None:
        for match in _LINE.finditer(text):
            line = match[1]
            if not line.strip(" \t\r\v\f") or line.startswith("#") or self.header(line) or not self.section:
                continue
            try:
                getattr(self, f"line_of_{self.section}")(line)
            except (_Nothing, ApiError):
                continue  # PVE writes a warning to its log

    def header(self, line: str) -> bool:
        sections = _SECTIONS[self.env]
        simple = re.match(r"\[(options|aliases|rules)\]$", line, re.IGNORECASE)
        if simple and simple[1].lower() in sections:
            self.section = simple[1].lower()
            return True
        named = _HEADER.match(line)
        if not named or named[1].lower() not in sections:
            return False
        section, self.name = named[1].lower(), named[2].lower()
        limit = MAX_GROUP_NAME if section == "group" else MAX_NAME
        if len(self.name) > limit or not IS_NAME.match(self.name):
            self.section = ""
            return True
        self.section = section
        of_section = self.config.groups if section == "group" else self.config.ipsets
        of_section[self.name] = []
        if true(named[3]):
            comments = self.config.group_comments if section == "group" else self.config.ipset_comments
            comments[self.name] = from_file(named[3])
        return True

    # -- lines ----------------------------------------------------------------------------------------------------

    def line_of_options(self, line: str) -> None:
        name, colon, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t\r\v\f")
        pattern = _OPTIONS[self.env].get(name)
        if not colon or pattern is None or not re.fullmatch(pattern, value, re.IGNORECASE | re.ASCII):
            raise _Nothing
        if pattern in (_FLAG, _NUMBER):
            number = int(value)
            if self.env == "cluster" and name == "enable" and number > 1 and self.now - number > _ENABLED_SECONDS:
                number = 0  # it was on for a try only
            self.config.options[name] = number
        elif pattern == _LEVEL:
            self.config.options[name] = value.lower()
        elif name.startswith("policy_"):
            self.config.options[name] = value.upper()
        else:
            self.config.options[name] = value

    def line_of_aliases(self, line: str) -> None:
        line, comment = _without_comment(line)
        pair = re.fullmatch(r"(\S+)\s(\S+)", line if comment is None else line.rstrip(" \t\r\v\f"), re.ASCII)
        row: Row = {}
        if pair:
            try:
                cidr, version = shortened(pair[2])
            except ValueError:
                raise _Nothing from None
            row = {"name": pair[1], "cidr": cidr, "ipversion": version}
            if true(comment):
                row["comment"] = comment
        # Anything else leaves an alias without a name behind.
        self.config.aliases[row.get("name", "").lower()] = row

    def line_of_ipset(self, line: str) -> None:
        line, comment = _without_comment(line)
        found = re.match(r"(!)?\s*(\S+)\s*$", line, re.ASCII)
        if not found:
            raise _Nothing
        row: Row = {"cidr": found[2]}
        error = self.entry_problem(row, self.config.ipsets[self.name])
        if re.search(r"/0+$", row["cidr"]):
            error = "a zero prefix is not allowed in ipset entries"
        if found[1]:
            row["nomatch"] = 1
        if true(comment):
            row["comment"] = comment
        if error:
            row["errors"] = {"cidr": error}
        self.config.ipsets[self.name].append(row)

    def entry_problem(self, row: Row, others: list[Row]) -> str | None:
        alias = alias_reference(self.release).match(row["cidr"])
        if alias:
            if self.scopes.alias(alias[1] or "", alias[2]) is None:
                return f"no such alias '{alias[2]}'"
        else:
            try:
                row["cidr"] = shortened(row["cidr"])[0]
            except ValueError as error:
                return str(error)
        if any(other["cidr"] == row["cidr"] for other in others):
            return f"duplicate ipset entry for '{row['cidr']}'"
        return None

    def line_of_rules(self, line: str) -> None:
        rule = self.rule(line)
        verify_rule(rule, self.scopes, self.env, self.release, strict=False)
        assert self.config.rules is not None
        self.config.rules.append(rule)

    def line_of_group(self, line: str) -> None:
        rule = self.rule(line)
        scopes = Scopes(self.scopes.datacenter, None, self.scopes.sdn)
        verify_rule(rule, scopes, "group", self.release, strict=False)
        self.config.groups[self.name].append(rule)

    def rule(self, line: str) -> Row:
        line, comment = _without_comment(line)
        enabled = not line.startswith("|")
        head = re.match(r"(\S+)\s+(\S+)\s*", line.removeprefix("|"), re.ASCII)
        if not head:
            raise _Nothing
        rest = line.removeprefix("|")[head.end() :]
        rule: Row = {"type": head[1].lower(), "action": head[2], "enable": int(enabled)}
        if true(comment):
            rule["comment"] = comment
        directions = ("in", "out", "forward") if self.release >= FORWARD_SINCE else ("in", "out")
        macro = _MACRO.match(head[2])
        if rule["type"] in directions and macro:
            rule["macro"], rule["action"] = macro.groups()
        while rest:
            iface = _IFACE.match(rest)
            switch = _SWITCH.match(rest) if rule["type"] != "group" else None
            if iface:
                rule["iface"], rest = iface[1], rest[iface.end() :]
            elif switch:
                name, value = switch[1] or switch[3], switch[2] or switch[4]
                rule["proto" if name == "p" else name] = value
                rest = rest[switch.end() :]
            else:
                raise _Nothing
        return rule


def _without_comment(line: str) -> tuple[str, str | None]:
    found = _COMMENT.search(line)
    return (line[: found.start()], from_file(found[1])) if found else (line, None)
