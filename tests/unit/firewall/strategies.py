"""Random lists of rules and declarations, from a world so small that rules keep getting into each other's way."""

from __future__ import annotations

from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.firewall.comments import Comment
from ansible_collections.homelab.pve.plugins.module_utils.firewall.model import (
    Alias,
    Entry,
    Group,
    IpSet,
    Rule,
    Ruleset,
)
from ansible_collections.homelab.pve.plugins.module_utils.firewall.scope import DATACENTER, Scope
from ansible_collections.homelab.pve.plugins.module_utils.firewall.wanted import (
    AFTER,
    BEFORE,
    BOTTOM,
    TOP,
    AliasSpec,
    Document,
    EntrySpec,
    GroupSpec,
    ListSpec,
    OptionsSpec,
    PlaceSpec,
    RuleSpec,
    SetSpec,
)
from hypothesis import strategies as st

KEYS = ("a", "b", "c", "d", "e")
OTHER_KEYS = ("x", "y")
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.5")
PORTS = (22, 8006)
# What the names in rules stand for, and what the group does.
WORLD = Ruleset(
    options={"enable": 1},
    aliases={"two": Alias("two", "10.0.0.2", ipversion=4)},
    ipsets={"few": IpSet("few", entries=(Entry("10.0.0.1"), Entry("10.0.0.5")))},
    groups={
        "some": Group(
            "some",
            rules=(
                Rule("in", "ACCEPT", source="10.0.0.1", proto="tcp", dport="22"),
                Rule("in", "DROP", source="10.0.0.0/30", proto="tcp"),
            ),
        ),
        "more": Group("more", rules=(Rule("in", "ACCEPT", source="10.0.0.2"),)),
    },
)

_sources = st.sampled_from([None, "10.0.0.1", "10.0.0.2", "10.0.0.0/30", "10.0.0.1,10.0.0.5", "two", "+few"])
_ports = st.sampled_from([None, "22", "8006", "22,8006"])
_verdicts = st.sampled_from(["ACCEPT", "ACCEPT", "DROP", "REJECT"])


@st.composite
def _contents(draw: st.DrawFn, *, groups: bool) -> dict[str, Any]:
    if groups and draw(st.integers(0, 9)) == 0:
        return {"type": "group", "action": draw(st.sampled_from(sorted(WORLD.groups)))}
    fields: dict[str, Any] = {"type": "in", "action": draw(_verdicts), "source": draw(_sources), "dport": draw(_ports)}
    if fields["dport"]:
        fields["proto"] = "tcp"
    return {name: value for name, value in fields.items() if value is not None}


def _content_of(rule: Rule) -> dict[str, Any]:
    row = {name: getattr(rule, name) for name in ("type", "action", "source", "proto", "dport")}
    return {name: value for name, value in row.items() if value is not None}


@st.composite
def lists(draw: st.DrawFn, *, groups: bool = True) -> tuple[Rule, ...]:
    """A list as the server may hold it: foreign rules, rules with keys (of this task, of others), switched off ones."""
    keys = [*draw(st.lists(st.sampled_from([*KEYS, *OTHER_KEYS]), unique=True, max_size=5))]
    keys += [None] * draw(st.integers(0, 4))
    rules = []
    for key in draw(st.permutations(keys)):
        text = draw(st.sampled_from(["", "by hand"]))
        enable = draw(st.integers(0, 4)) > 0
        pending = key is not None and not enable and draw(st.booleans())
        comment = str(Comment(text, key, pending)) or None
        rules.append(Rule(**draw(_contents(groups=groups)), enable=enable, comment=comment))
    return tuple(rules)


@st.composite
def declarations(draw: st.DrawFn, current: tuple[Rule, ...], *, groups: bool = True) -> ListSpec:
    """What a task may declare about such a list."""
    keys = [*draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=5))] + [None] * draw(st.integers(0, 1))
    rules = []
    # Contents that change places are what makes an order hard to find.
    there_now = [_content_of(rule) for rule in current if groups or rule.type != "group"]
    if there_now and draw(st.integers(0, 2)) == 0:
        mine = [Comment.parse(rule.comment).key for rule in current]
        keys = [key for key in mine if key in KEYS]
        exchanged = draw(st.permutations(there_now))
    else:
        exchanged = []
    for number, key in enumerate(keys):
        comment = draw(st.sampled_from([None, None, "declared", ""]))
        taken = there_now and draw(st.booleans())
        fields = dict(draw(st.sampled_from(there_now)) if taken else draw(_contents(groups=groups)))
        fields = dict(exchanged[number]) if number < len(exchanged) else fields
        fields |= {} if comment is None else {"comment": comment}
        # What the task empties goes.
        if "dport" not in fields and fields["type"] != "group":
            fields |= {"dport": "", "proto": ""}
        if "source" not in fields and fields["type"] != "group":
            fields["source"] = ""
        state = "absent" if key is not None and draw(st.integers(0, 5)) == 0 else "present"
        enable = draw(st.sampled_from([None, None, True, False]))
        rules.append(RuleSpec(key, fields, enable, state, f"rules[{key or number}]"))
    there = {Comment.parse(rule.comment).key for rule in current} & set(OTHER_KEYS)
    places = [None, None, TOP, BOTTOM, *([BEFORE, AFTER] if there else [])]
    position = draw(st.sampled_from(places))
    anchor = draw(st.sampled_from(sorted(there))) if position in (BEFORE, AFTER) else None
    exclusive = anchor is None and draw(st.integers(0, 7)) == 0
    return ListSpec(tuple(rules), position, anchor, exclusive)


# -- whole documents ---------------------------------------------------------------------------------------------------

NODE = Scope("node", "ugreen")
SETS = ("few", "blacklist", "management")
ALIASES = ("two", "local_network")
GROUP_NAMES = ("some", "more")
_networks = st.sampled_from([*ADDRESSES, "10.0.0.0/30", "10.0.0.0/24"])
_options = st.fixed_dictionaries(
    {}, optional={"enable": st.sampled_from([0, 1, 1, 1]), "policy_in": st.sampled_from(["ACCEPT", "DROP", "REJECT"])}
)


@st.composite
def _entries(draw: st.DrawFn) -> tuple[Entry, ...]:
    cidrs = sorted(draw(st.sets(_networks, max_size=3)))
    return tuple(Entry(cidr, draw(st.integers(0, 5)) == 0) for cidr in cidrs)


@st.composite
def rulesets(draw: st.DrawFn) -> Ruleset:
    """The datacenter's firewall as a server may hold it. Rules may name what is not there."""
    aliases = {name: Alias(name, draw(_networks), ipversion=4) for name in ALIASES if draw(st.booleans())}
    sets = {name: IpSet(name, entries=draw(_entries())) for name in SETS if draw(st.booleans())}
    groups = {
        name: Group(name, rules=tuple(rule for rule in draw(lists(groups=False)) if rule.source not in ("two", "+few")))
        for name in GROUP_NAMES
        if draw(st.booleans())
    }
    return Ruleset({"enable": 1, **draw(_options)}, draw(lists()), aliases, sets, groups)


@st.composite
def documents(draw: st.DrawFn, cluster: Ruleset, node: Ruleset) -> Document:
    """What a document may declare about the datacenter and its node."""
    there = ["present", "present", "present", "absent"]
    aliases = [AliasSpec(name, draw(_networks), state=draw(st.sampled_from(there))) for name in ALIASES]
    sets = [
        SetSpec(
            name,
            entries=tuple(EntrySpec(entry.cidr, entry.nomatch) for entry in draw(_entries())),
            exclusive=draw(st.booleans()),
            state=draw(st.sampled_from(there)),
        )
        for name in SETS
    ]
    groups = []
    for name in GROUP_NAMES:
        known = cluster.groups.get(name, Group(name)).rules or ()
        listed = draw(declarations(known, groups=False)) if draw(st.booleans()) else None
        groups.append(GroupSpec(name, rules=listed, state=draw(st.sampled_from(there))))
    some = st.booleans()
    place = PlaceSpec(
        DATACENTER,
        OptionsSpec(draw(_options)),
        tuple(alias for alias in aliases if draw(some)),
        tuple(one for one in sets if draw(some)),
        tuple(group for group in groups if draw(some)),
        draw(declarations(cluster.rules)) if draw(some) else None,
    )
    on_node = PlaceSpec(NODE, rules=draw(declarations(node.rules)))
    return Document((place, *([on_node] if draw(some) else [])), management_source="10.0.0.9", allow_lockout=True)
