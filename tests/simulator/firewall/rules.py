"""What PVE makes sure of in a rule. Reading a file, it notes what is wrong; in a call, the first thing is refused."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release
from ansible_collections.homelab.pve.plugins.module_utils.firewall import names as tables

from ..errors import Failure, ParameterError
from .addresses import AddressError, list_version
from .config import RULE_TYPES, WITH_IFACE, Row, Scopes
from .fields import check_iface, check_ports, check_protocol
from .names import FORWARD_SINCE, IS_NAME, alias_reference, set_reference
from .text import true

_ICMP = {"icmp": 4, "icmpv6": 6, "ipv6-icmp": 6}
_MIXED = "detected mixed ipv4/ipv6 addresses in rule"


def verify_rule(rule: Row, scopes: Scopes, env: str, release: Release, *, strict: bool) -> None:
    """Check a rule, and complete it: ``ipversion``, PVE's spelling of a macro and, unless strict, ``errors``.

    Raises ParameterError for the first error where strict, and Failure for aliases of both families always.
    """
    check = _Check(rule, scopes, env, release, strict)
    check.run()
    if check.version:
        rule["ipversion"] = check.version
    if rule.get("macro") and not check.errors:
        check.macro()
    if check.errors:
        rule["errors"] = check.errors


class _Check:
    def __init__(self, rule: Row, scopes: Scopes, env: str, release: Release, strict: bool) -> None:
        self.rule = rule
        self.scopes = scopes
        self.env = env
        self.release = release
        self.strict = strict
        self.errors: dict[str, str] = {}
        self.version: int | None = None

    def wrong(self, name: str, text: str) -> None:
        if self.strict:
            raise ParameterError({name: text})
        self.errors.setdefault(name, text)

    def has(self, name: str) -> bool:
        return true(self.rule.get(name))

    def attempt(self, name: str, check: Any, *arguments: Any) -> None:
        try:
            check(*arguments)
        except ValueError as error:
            self.wrong(name, str(error))

    def settle_version(self, version: int | None) -> None:
        """Raises AddressError for the second family in a rule."""
        if version:
            if self.version not in (None, version):
                raise AddressError(_MIXED)
            self.version = version

    def run(self) -> None:
        for name in ("type", "action"):
            if not self.has(name):
                self.wrong(name, "missing property")
        if self.has("type"):
            self.type_and_action()
        if self.has("iface"):
            self.iface()
        if self.has("macro"):
            spelling = tables.canonical_macro(self.rule["macro"])
            if spelling:
                self.rule["macro"] = spelling
            else:
                self.wrong("macro", f"unknown macro '{self.rule['macro']}'")
        proto = self.rule["proto"] if self.has("proto") else ""
        if proto:
            self.attempt("proto", check_protocol, proto)
            self.settle_version(_ICMP.get(proto))
        if self.has("dport"):
            self.ports("dport", proto)
        if self.has("icmp-type"):
            self.icmp_type(proto)
        if self.has("sport"):
            self.ports("sport", proto)
        for name in ("source", "dest"):
            if self.has(name):
                self.attempt(name, self.addresses, self.rule[name])
                self.reference(name, self.rule[name])

    def type_and_action(self) -> None:
        kind, action = self.rule["type"], self.rule.get("action")
        allowed = RULE_TYPES[self.env]
        if kind not in allowed or (kind == "forward" and self.release < FORWARD_SINCE):
            self.wrong("type", f"invalid rule type '{kind}' for rule_env '{self.env}'")
        if kind in ("in", "out", "forward"):
            if action and not re.match(r"(ACCEPT|DROP|REJECT)$", action):
                self.wrong("action", f"unknown action '{action}'")
            if kind == "forward" and action == "REJECT":
                self.wrong("action", "cannot define REJECT rules on forward chain")
        elif kind == "group":
            if self.env == "group":
                self.wrong("type", "security groups not allowed")
            if action and not IS_NAME.match(action):
                self.wrong("action", "invalid characters in security group name")
        else:
            self.wrong("type", f"unknown rule type '{kind}'")

    def iface(self) -> None:
        iface = self.rule["iface"]
        if self.env not in WITH_IFACE:
            self.wrong("type", "parameter -i not allowed for this rule type")
        self.attempt("iface", check_iface, iface)
        if self.env in ("vm", "ct") and not re.match(r"net\d+$", iface, re.ASCII):
            self.wrong("iface", r"value does not match the regex pattern 'net\d+'")

    def ports(self, name: str, proto: str) -> None:
        icmp = name == "dport" and proto in _ICMP
        self.attempt(name, check_ports, self.rule[name], icmp)
        if not proto:
            self.wrong("proto", f"missing property - '{name}' requires this property")
        if not icmp and proto not in tables.PROTOCOLS_WITH_PORTS:
            self.wrong(name, f"protocol '{proto}' does not support ports")

    def icmp_type(self, proto: str) -> None:
        kind = self.rule["icmp-type"]
        if proto not in _ICMP:
            self.wrong("proto", "missing property - 'icmp-type' requires this property")
        if self.has("dport"):
            self.wrong("icmp-type", "'icmp-type' cannot be specified together with 'dport'")
        if proto in _ICMP and kind not in (tables.ICMP_TYPES if proto == "icmp" else tables.ICMPV6_TYPES):
            self.wrong("icmp-type", f"invalid icmp-type '{kind}' for proto '{proto}'")

    def addresses(self, text: str) -> None:
        self.settle_version(list_version(text, alias_reference(self.release)))

    def reference(self, name: str, text: str) -> None:
        """Look up a name in source or dest. Which scope it has matters for the family only, not for being there."""
        if text.startswith("+"):
            found = set_reference(self.release).match(text)
            if not found:
                self.wrong(name, f"invalid ipset name '{text}'")
            elif not self.scopes.knows_set(found[2]):
                self.wrong(name, f"no such ipset '{found[2]}'")
            return
        found = alias_reference(self.release).match(text)
        if not found:
            return
        if not self.scopes.knows_alias(found[2]):
            self.wrong(name, f"no such alias '{text}'")
        alias = self.scopes.alias(found[1] or "", found[2])
        try:
            self.settle_version(alias.get("ipversion") if alias else None)
        except AddressError as error:
            raise Failure(str(error)) from None

    def macro(self) -> None:
        """Make sure that what stands beside a macro does not contradict it."""
        for template in tables.MACROS[self.rule["macro"]]:
            for name, fixed in template.items():
                given = self.rule.get(name)
                if given is not None and given != fixed:
                    self.wrong(name, f"parameter '{name}' already define in macro (value = '{fixed}')")
                    return
