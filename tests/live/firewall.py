"""What the tests make of the firewall: aliases, IP sets and groups by their names, rules by their keys.

Looked at are the datacenter's firewall and those of the guests that the tests work on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.firewall.comments import key_of
from ansible_collections.homelab.pve.plugins.module_utils.firewall.values import reference

from .names import OURS, Json, Seen, Stop, is_ours, text

CLUSTER = "/cluster/firewall"
Rows = list[dict[str, Any]]


def look(client: Client, guests: Iterable[int]) -> dict[str, str]:
    """Return the paths of the firewalls to look at, each with what people call it; of guests, those that are there."""
    rows = client.get("/cluster/resources", {"type": "vm"})
    there = {int(row["vmid"]): f"/nodes/{row['node']}/{row['type']}/{row['vmid']}/firewall" for row in rows}
    return {CLUSTER: "the datacenter", **{there[vmid]: f"guest {vmid}" for vmid in guests if vmid in there}}


def see(client: Client, guests: Iterable[int]) -> Seen:
    """Return all of these firewalls, as far as the server tells."""
    seen: Seen = {}
    for base, where in look(client, guests).items():
        options = client.get(f"{base}/options")
        options.pop("digest", None)
        seen[f"firewall options of {where}"] = text(options)
        for name, rules in _lists(client, base).items():
            seen[f"rules of {name or where}"] = text({"rules": rules})
        for row in _rows(client, f"{base}/aliases"):
            seen[f"alias {row['name']} of {where}"] = text(row)
        for row in _rows(client, f"{base}/ipset"):
            entries = _rows(client, f"{base}/ipset/{row['name']}")
            seen[f"IP set {row['name']} of {where}"] = text({**row, "entries": entries})
    for row in _rows(client, f"{CLUSTER}/groups"):
        seen[f"security group {row['group']}"] = text(row)
    return seen


def clean_up(client: Client, guests: Iterable[int]) -> Iterator[str]:
    """Delete what belongs to the tests, and say what that was. Raises Stop where others use it."""
    # What uses a name goes before what has it, and guests use the datacenter's names.
    places = dict(reversed(look(client, guests).items()))
    for base in places:
        _refuse_entangled(client, base)
    for base, where in places.items():
        yield from _remove_rules(client, f"{base}/rules", where, only_ours=True)
    for row in _rows(client, f"{CLUSTER}/groups"):
        if is_ours("group", row["group"]):
            list(_remove_rules(client, f"{CLUSTER}/groups/{row['group']}", "", only_ours=False))
            client.send("DELETE", f"{CLUSTER}/groups/{row['group']}")
            yield f"security group {row['group']}"
    for base, where in places.items():
        for kind, listing, force in ("IP set", "ipset", {"force": 1}), ("alias", "aliases", {}):
            for row in _rows(client, f"{base}/{listing}"):
                if is_ours(kind, row["name"]):
                    client.send("DELETE", f"{base}/{listing}/{row['name']}", force)
                    yield f"{kind} {row['name']} of {where}"


def _rows(client: Client, path: str) -> Rows:
    """Return a list without its digest."""
    return [{key: row[key] for key in row if key != "digest"} for row in client.get(path)]


def _lists(client: Client, base: str) -> dict[str, Rows]:
    """Return the lists of rules: the one of the place itself (without a name), and those of the groups."""
    lists = {"": _rows(client, f"{base}/rules")}
    if base == CLUSTER:
        for row in _rows(client, f"{CLUSTER}/groups"):
            lists[f"group {row['group']}"] = _rows(client, f"{CLUSTER}/groups/{row['group']}")
    return lists


def _is_our_rule(rule: Json) -> bool:
    return is_ours("rule", key_of(rule.get("comment")) or "")


def _remove_rules(client: Client, path: str, where: str, *, only_ours: bool) -> Iterator[str]:
    # Positions and digest are those of the list as it is then.
    while rules := [rule for rule in client.get(path) if _is_our_rule(rule) or not only_ours]:
        rule = rules[-1]
        client.send("DELETE", f"{path}/{rule['pos']}", {"digest": rule["digest"]})
        yield f"rule {key_of(rule.get('comment'))} of {where}"


def _refuse_entangled(client: Client, base: str) -> None:
    """Others' rules and sets would be left without what they name; others' aliases may have our names, in capitals."""
    for row in _rows(client, f"{base}/aliases"):
        if row["name"].lower().startswith(OURS) and not is_ours("alias", row["name"]):
            raise Stop(f"The alias {row['name']} has a name of these tests ({OURS}*): give it another one.")
    for name, rules in _lists(client, base).items():
        for rule in rules:
            if not _is_our_rule(rule) and not is_ours("group", name.removeprefix("group ")):
                named = [rule["action"] if rule["type"] == "group" else "", rule.get("source"), rule.get("dest")]
                _refuse(f"Rule {rule['pos']} of {base}{'/groups/' if name else ''}{name[6:]}", named)
    for row in _rows(client, f"{base}/ipset"):
        if not is_ours("IP set", row["name"]):
            for entry in _rows(client, f"{base}/ipset/{row['name']}"):
                _refuse(f"The IP set {row['name']}", [entry["cidr"]])


def _refuse(who: str, named: Iterable[str | None]) -> None:
    for value in named:
        found = reference(value or "")
        if found and found.name.lower().startswith(OURS):
            raise Stop(
                f"{who} uses {found.name}, which belongs to these tests and would go away. Names that begin with "
                f"{OURS} are theirs: use another one there, then run again."
            )
