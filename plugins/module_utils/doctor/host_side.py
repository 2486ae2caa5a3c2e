"""The doctor on the host's side: pure judgements over what was read there. ``host_reads.py`` reads it."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence

from ..access.explain import Explainer, Half
from ..access.model import NO_ACCESS, ROOT, AccessState, Principal, is_over, is_token, name_of, owner_of
from ..access.permissions import Evaluator, entry_paths
from ..client.errors import ApiError
from ..firewall.guard import Host, Situation, not_reaching
from ..wording import day, one_line, some_of
from . import mends
from .mends import Need
from .packet_filter import ACCEPT, UNKNOWN, Filter, Knock, inside, refusals
from .reach import API_PORT
from .report import Check, failed, meant_by, passed, skipped
from .rights import reading

_LISTENS = "0A"
_LOOK = "journalctl -u {0} -n 50; systemctl restart {0}"
_MOST = 4


# -- pveproxy ----------------------------------------------------------------------------------------------------------


def listeners(*tables: str) -> list[tuple[str, int]]:
    """Read address and port of all that listens out of /proc/net/tcp and /proc/net/tcp6."""
    found = []
    for line in (line for table in tables for line in table.splitlines()):
        words = line.split()
        if len(words) > 3 and words[3] == _LISTENS:
            address, unused, port = words[1].partition(":")
            found.append((_address(address), int(port, 16)))
    return sorted(set(found))


def _address(text: str) -> str:
    """Undo the kernel's way of writing an address: words of 32 bits, each in the machine's own order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    return str(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words)))


def judge_listening(found: Sequence[tuple[str, int]], port: int) -> Check:
    """Say whether somebody listens on the port, for more than the machine itself."""
    there = [address for address, number in found if number == port]
    pve = [address for address, number in found if number == API_PORT]
    if not there and pve:
        mend = f"Ask port {API_PORT}: pveproxy has no other, unless something in front of it passes {port} on."
        return failed("listens_elsewhere", f"Nothing listens on port {port}, but on {API_PORT} (at {pve[0]}).", mend)
    if not there:
        return failed("api_down", f"Nothing listens on port {port}.", f"On the host: {_LOOK.format('pveproxy')}.")
    if any(not ipaddress.ip_address(address).is_loopback for address in there):
        return passed(f"Port {port} is listened on at {', '.join(there)}.")
    mend = "Take LISTEN_IP out of /etc/default/pveproxy, or give it the address; then systemctl restart pveproxy."
    return failed("listens_elsewhere", f"Port {port} is listened on at {', '.join(there)} alone.", mend)


def judge_service(name: str, state: str) -> Check:
    """Say whether a service of PVE runs; ``state`` is what systemctl or PVE says of it."""
    if state.strip() in ("active", "running"):
        return passed(f"{name} runs.")
    diagnosis = {"pveproxy": "api_down", "pvedaemon": "daemon_down"}.get(name, "daemon_down")
    return failed(diagnosis, f"{name} is {state.strip() or 'not known'}.", f"On the host: {_LOOK.format(name)}.")


def judge_pveum(code: int, said: str) -> Check:
    """Say whether ``pveum user token list`` is a command of this release, by its code and what it said."""
    if code == 0:
        return passed("pveum takes the words that are used here.")
    if "pveum_syntax" in meant_by(said):
        mend = "pveversion tells the release. pveum user token is there since 6.2; before, there are no tokens."
        return failed("pveum_syntax", f"pveum user token list: {one_line(said)[:200]}", mend)
    return skipped(f"pveum: {one_line(said)[:200]}")


def judge_allowed(defaults: str, clients: Sequence[str]) -> Check:
    """Say whether pveproxy itself turns clients away, by /etc/default/pveproxy."""
    values: dict[str, str] = {}
    for line in defaults.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = value.strip().strip("\"'")
    allow, deny = (_ranges(values.get(name, "")) for name in ("ALLOW_FROM", "DENY_FROM"))
    for client in clients:
        allowed, denied = _among(client, allow), _among(client, deny)
        # With POLICY=deny, what is in neither of the two, or in both of them, is turned away.
        strict = values.get("POLICY", "allow") == "deny"
        out = (not allowed or denied) if strict else (denied and not allowed)
        if out:
            how = ", ".join(
                f"{name}={values[name]}" for name in ("ALLOW_FROM", "DENY_FROM", "POLICY") if name in values
            )
            mend = "Let it in in /etc/default/pveproxy, then systemctl restart pveproxy."
            return failed("client_not_allowed", f"{client} is turned away by pveproxy: {how}.", mend)
    return passed("pveproxy turns nobody of them away.")


def _ranges(text: str) -> list[str]:
    return [part for part in text.replace(",", " ").split() if part]


def _among(client: str, ranges: Iterable[str]) -> bool:
    return any(text == "all" or inside(ipaddress.ip_address(client), text) for text in ranges)


# -- packet filters ----------------------------------------------------------------------------------------------------


def judge_firewall(host: Host, situation: Situation, clients: Sequence[str], port: int) -> Check:
    """Say whether PVE's own firewall lets the clients in."""
    try:
        found = not_reaching(host, situation, clients, [port])
    except ValueError as error:
        return skipped(f"It cannot be worked out: {error}.")
    if str(situation.cluster.options.get("enable", 0)) == "0":
        return passed("PVE's firewall is off in the datacenter.")
    if found is None:
        return passed(f"PVE's firewall lets {some_of(clients)} in.")
    source = found.client
    mend = (
        f"homelab.pve.pve_fw_rule with type: in, action: ACCEPT, source: {source}, proto: tcp, dport: '{port}', before "
        "the rule that decides."
    )
    assumed = f", {found.assumed}" if found.assumed else ""
    said = f"{found.after.action} for {source}, by {found.after.by}{assumed}."
    return failed("firewall_rule", said, mend)


def judge_filters(filters: Sequence[Filter], clients: Sequence[str], port: int, *, configured: bool) -> Check:
    """Say whether the kernel's rules let the clients in. ``configured``: PVE's firewall, as configured, does."""
    doubts = []
    for client in clients:
        version = ipaddress.ip_address(client).version
        for one in (one for one in filters if version in one.versions):
            found = one.outcomes(Knock(client, port))
            if UNKNOWN in found:
                doubts.append(f"It depends on more than is known whether {client} gets in: {found[UNKNOWN]}")
            for action, rule in refusals(found):
                if ACCEPT not in found and UNKNOWN not in found:
                    return _kept_out(client, port, f"{action} for {client}: {rule}", configured=configured)
                doubts.append(f"It depends on more than is known whether {client} gets in: {rule}")
    return skipped(doubts[0]) if doubts else passed(f"The rules in the kernel let {some_of(clients)} in.")


def _kept_out(client: str, port: int, said: str, *, configured: bool) -> Check:
    if configured and ("PVEFW" in said or "proxmox-firewall" in said):
        units = "proxmox-firewall" if "proxmox-firewall" in said else "pve-firewall"
        mend = f"On the host: systemctl status {units}; journalctl -u {units}; systemctl restart {units}."
        return failed("firewall_not_applied", said, mend)
    if "nft table" in said:
        mend = "The role homelab.pve.host_firewall. On the host: nft -a list ruleset shows the rule by its handle."
        return failed("packet_filter", said, mend)
    family = "ip6tables" if ":" in client else "iptables"
    mend = (
        f"The role homelab.pve.host_firewall. On the host, until its next start: {family} -I INPUT 1 "
        f"-s {client} -p tcp --dport {port} -j ACCEPT"
    )
    return failed("packet_filter", said, mend)


# -- who asks ----------------------------------------------------------------------------------------------------------


def judge_user(state: AccessState, subject: str, now: float) -> Check:
    """Say whether the user is there, enabled and not expired."""
    name = owner_of(subject)
    user = state.users.get(name)
    if user is None:
        first = name.partition("@")[0].lower()
        alike = [one for one in state.users if one.partition("@")[0].lower() == first]
        hint = f" There is {some_of(alike, _MOST)}." if alike else ""
        mend = mends.other_user(name, alike[0]) if len(alike) == 1 else mends.make_user(name)
        return failed("user_unknown", f"There is no user {name}.{hint}", mend)
    if not user.enable:
        return failed("user_disabled", f"{name} is disabled, and so are all its tokens.", mends.enable_user(name))
    if is_over(user.expire, now):
        return failed("user_expired", f"{name} expired on {day(user.expire)}.", mends.prolong_user(name))
    return passed(f"{name} is there and enabled.")


def judge_token(state: AccessState, subject: str, now: float) -> Check:
    """Say whether the token is there and not expired. Whether its secret is right, nobody can see."""
    if not is_token(subject):
        return skipped("A user is asked about, and no token.")
    token = state.tokens.get(subject)
    if token is None:
        others = [name_of(one) for one in state.tokens if owner_of(one) == owner_of(subject)]
        has = f" Its user has {some_of(others, _MOST)}." if others else " Its user has none."
        return failed("token_unknown", f"There is no token {subject}.{has}", mends.make_token(subject))
    if is_over(token.expire, now):
        return failed("token_expired", f"{subject} expired on {day(token.expire)}.", mends.prolong_token(subject))
    separated = "with" if token.privsep else "without"
    return passed(f"{subject} is there, {separated} privilege separation.")


def judge_acl(state: AccessState, subject: str, wanted: Sequence[Need] = ()) -> Check:
    """Say whether both halves of a token hold what is wanted, or anything at all."""
    token = state.tokens.get(subject)
    owner = owner_of(subject)
    evaluator = Evaluator(state)
    first = wanted[0] if wanted else Need()
    if is_token(subject) and token is None:
        return skipped(f"There is no token {subject}.")
    if token is not None and token.privsep and not state.acl.get(Principal("token", subject)):
        said = f"{subject} has no ACL entry of its own, so it has no rights, whatever {owner} has."
        mend = mends.allow(subject, first, _auditor(state), user=_lacks(evaluator, owner, first))
        return failed("token_without_acl", said, mend)
    if owner != ROOT and not _user_has(state, owner):
        said = f"Neither {owner} nor its groups have an ACL entry."
        return failed("user_without_acl", said, mends.allow(subject, first, _auditor(state), token=False))
    for need in wanted:
        found = _lacking(state, evaluator, subject, need)
        if found:
            return found
    if not wanted and not evaluator.effective(subject):
        own = sorted(state.acl.get(Principal("token", subject), {}))
        said = f"{subject} has entries on {some_of(own)}, its user on {some_of(sorted(entry_paths(state, owner)))}."
        return failed(
            "no_rights", f"{said} Together they give nothing.", mends.allow(subject, Need(own[0] if own else "/"), ())
        )
    return passed(f"{subject} holds what is asked for." if wanted else f"{subject} has rights.")


def _auditor(state: AccessState) -> Collection[str]:
    role = state.roles.get(mends.READER)
    return role.privs if role else ()


def _lacks(evaluator: Evaluator, subject: str, need: Need) -> bool:
    """Tell whether somebody, a user or both halves of a token together, does not hold what is needed."""
    if subject == ROOT:
        return False
    held = evaluator.privileges(subject, need.path)
    return need.privilege not in held if need.privilege else not reading(need.path, held)


def _user_has(state: AccessState, owner: str) -> bool:
    return owner == ROOT or bool(entry_paths(state, owner))


def _lacking(state: AccessState, evaluator: Evaluator, subject: str, need: Need) -> Check | None:
    """Return which half lacks a privilege, or both, None if neither does."""
    path, privilege = need.path, need.privilege

    def holds(held: Iterable[str]) -> bool:
        return privilege in held if privilege else bool(reading(path, held))

    if not _lacks(evaluator, subject, need):
        return None
    named = privilege or "any right to read"
    lacking: dict[str, Half] = {}
    for who, half in zip((owner_of(subject), subject), Explainer(state, evaluator).halves(subject, path)):
        roles = {grant.entry.role for grant in half}
        if NO_ACCESS in roles:
            at = next(grant.entry for grant in half if grant.entry.role == NO_ACCESS)
            whom = f"{at.principal.kind}s: [{at.principal.name}]"
            mend = f"homelab.pve.pve_acl with path: {at.path}, roles: [NoAccess], {whom} and state: absent."
            return failed("no_access", f"NoAccess on {at.path} takes everything from {who} on {path}.", mend)
        if who != ROOT and not holds({name for role in roles for name in state.roles[role].privs}):
            lacking[who] = half
    there = sorted({grant.entry.path for half in lacking.values() for grant in half})
    counts = f" What counts there stands on {some_of(there)}." if there else ""
    said = f"{' and '.join(lacking) or subject} {'lack' if len(lacking) > 1 else 'lacks'} {named} on {path}.{counts}"
    of_user, of_token = owner_of(subject) in lacking, subject in lacking
    mend = mends.allow(
        subject,
        need,
        _auditor(state),
        evaluator.privileges(subject, path),
        user=of_user or not lacking,
        token=of_token or not lacking,
    )
    diagnosis = "right_missing"
    if is_token(subject) and not there and len(lacking) == 1:
        diagnosis = "user_without_acl" if of_user else "token_without_acl"
    return failed(diagnosis, said, mend)


# -- the cluster -------------------------------------------------------------------------------------------------------


def judge_quorum(rows: Iterable[Mapping[str, object]]) -> Check:
    """Say whether the cluster has quorum, by /cluster/status. A single node always has."""
    clusters = [row for row in rows if row.get("type") == "cluster"]
    if clusters and str(clusters[0].get("quorate", 1)) == "0":
        mend = "Bring nodes back (pvecm status). Reading goes on; nothing can be changed, tokens neither."
        return failed("quorum_lost", "Less than half of the votes are there.", mend)
    return passed("The cluster has quorum." if clusters else "It is a single node.")


def unseen(error: ApiError) -> Check:
    """Return that PVE did not let the admin look."""
    return skipped(f"{error.message}. It takes an admin's token with PVEAuditor on /, or pvesh on a node.")
