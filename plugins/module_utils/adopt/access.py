"""The live state of access as a ``pve_access`` document."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..access import paths, releases
from ..access.document import (
    LOGS_ROLE,
    parse_acl,
    parse_group,
    parse_pool,
    parse_role,
    parse_token,
    parse_user,
    stored_text,
)
from ..access.model import ADMINISTRATOR, ROOT, Entry, Pool, Principal, Token, User, is_token, owner_of
from ..access.observe import ALL_MEMBERS
from ..access.rotation import rotations
from ..client.errors import OptionError
from ..policy.observe import Observed
from ..wording import DAY, some_of
from .parts import Part, is_harmless, pattern_of

Row = dict[str, Any]

_LAST_YEAR = 253402300800  # the first second that has a year of five digits
_TEXTS = ("firstname", "lastname", "email", "comment")
# Realms whose users and groups come by themselves, with a synchronisation or with whoever logs in.
_SYNCED = ("ad", "ldap", "openid")
# With this on all paths, somebody can give himself every right.
_GIVES_RIGHTS = "Permissions.Modify"
_KINDS = {"user": "users", "group": "groups", "token": "tokens"}


@dataclass(frozen=True)
class _Item:
    """Several ACL entries at once: every combination of paths, principals and roles."""

    paths: tuple[str, ...]
    principals: tuple[Principal, ...]
    roles: tuple[str, ...]
    propagate: bool


def adopt_access(observed: Observed, *, exclusive: bool) -> Part:
    """Return the document. With ``exclusive``, nothing else may be there, as far as the caller sees all there is."""
    return _Access(observed, exclusive).run()


class _Access:
    def __init__(self, observed: Observed, exclusive: bool) -> None:
        self.observed = observed
        self.view = observed.access
        self.state = observed.state
        self.exclusive = exclusive
        # Tokens that stand in for others, until a rotation that is under way ends.
        self.passing = rotations(self.state, self.view.now)
        self.part = Part()
        # Patterns of what stays although the document cannot say it, each with the reason.
        self.keep: dict[str, str] = {}

    def run(self) -> Part:
        roles = self._roles()
        groups = self._groups()
        users = self._users()
        tokens = self._tokens()
        entries = self._entries()
        readers = self._readers(users, tokens, entries)
        self._write_readers(readers, roles, entries)
        self._write_objects(groups, users, tokens, roles, readers)
        self._write_acls(entries)
        self._write_pools()
        if self.exclusive:
            self._write_exclusive()
        return self.part

    # -- single objects ------------------------------------------------------------------------------------------------

    def _roles(self) -> dict[str, Row]:
        known = releases.privileges(self.view.release)
        found = {}
        for name, role in sorted(self.state.roles.items()):
            if role.special:
                continue
            row: Row = {"roleid": name, "privs": sorted(role.privs)}
            unknown = role.privs - known
            if unknown:
                self._keep(
                    name,
                    f"role {name}: holds privileges that this collection does not know, {some_of(sorted(unknown))}",
                )
            elif self._can_be_said(f"role {name}", name, parse_role, row):
                found[name] = row
        return found

    def _groups(self) -> dict[str, Row]:
        found = {}
        for name, group in sorted(self.state.groups.items()):
            row = {"groupid": name, **self._texts(f"group {name}", group, ("comment",), parse_group, {"groupid": name})}
            if self._can_be_said(f"group {name}", name, parse_group, row):
                found[name] = row
        return found

    def _users(self) -> dict[str, Row]:
        found = {}
        for name, user in sorted(self.state.users.items()):
            if name == ROOT:
                continue
            row: Row = {"userid": name}
            if not user.enable:
                row["enable"] = False
            if user.expire:
                row["expire"] = moment(user.expire)
            if self._can_be_said(f"user {name}", name, parse_user, row):
                row.update(self._members(user))
                row.update(self._texts(f"user {name}", user, _TEXTS, parse_user, row))
                found[name] = row
        return found

    def _members(self, user: User) -> Row:
        """Return the groups of a user; that there are none is said, too, where nothing else may be."""
        named = [
            name
            for name in sorted(user.groups & self.state.groups.keys())
            if _is_taken(parse_user, {"userid": user.userid, "groups": [name]})
        ]
        if len(named) < len(user.groups):
            self.part.note(f"user {user.userid}: stays in more groups, as not all of them can be named here")
            return {"groups": named, "append": True}
        return {"groups": named} if named or self.exclusive else {}

    def _tokens(self) -> dict[str, Row]:
        evaluator = self.observed.evaluator
        judged = {"users", "acl"} <= self.view.complete
        found = {}
        for name, token in sorted(self.state.tokens.items()):
            if name in self.passing:
                self.part.note(f"token {name}: stands in for {self.passing[name]} while that gets a new secret")
                continue
            row: Row = {"tokenid": name, "privsep": token.privsep}
            if token.expire:
                row["expire"] = moment(token.expire)
            if judged and not evaluator.effective(name):
                self._keep(name, f"token {name}: can do nothing, which no policy may mean")
                if self.exclusive and "pools" in self.view.complete:
                    self.part.assertions.append({"subject": pattern_of(name), "paths": ["/"], "nothing": True})
            elif self._can_be_said(f"token {name}", name, parse_token, row):
                row.update(self._texts(f"token {name}", token, ("comment",), parse_token, row))
                found[name] = row
        return found

    def _can_be_said(self, what: str, name: str, parse: Callable[[Row], Any], row: Row) -> bool:
        """Tell whether a document takes an object; where it does not, the object is kept."""
        try:
            parse(row)
        except OptionError as error:
            self._keep(name, f"{what}: {error.message.rstrip('.')}")
            return False
        if not is_harmless(name):
            self._keep(name, f"{what}: Ansible would take the name for a template")
            return False
        return True

    def _texts(self, what: str, one: Any, names: Iterable[str], parse: Callable[[Row], Any], row: Row) -> Row:
        """Return the texts of an object that are not empty, as far as a document can say them."""
        found = {}
        for name in names:
            text = getattr(one, name)
            if not text:
                continue
            if stored_text(text) == text and is_harmless(text) and _is_taken(parse, {**row, name: text}):
                found[name] = text
            else:
                self.part.note(f"{what}: {name} is left out, as a policy cannot say it as it is")
        return found

    def _keep(self, name: str, why: str) -> None:
        self.keep[pattern_of(name)] = why
        self.part.note(f"{why}; it stays as it is")

    # -- ACL entries ---------------------------------------------------------------------------------------------------

    def _entries(self) -> dict[Entry, bool]:
        """Return the entries that a document can say."""
        found = {}
        for entry, propagate in sorted(self.state.entries()):
            if entry.principal.name in self.passing:
                continue
            why = self._why_not(entry)
            if not why:
                found[entry] = propagate
                continue
            told = f"ACL entry {entry.role} for {entry.principal.kind} {entry.principal.name} on {entry.path}"
            if why.startswith("there is no"):
                # Nothing takes these away, neither an exclusive scope nor PVE itself.
                self.part.note(f"{told}: {why}")
            else:
                self._keep(entry.principal.name, f"{told}: {why}")
        return found

    def _why_not(self, entry: Entry) -> str:
        path, (kind, name), role = entry
        listing = _KINDS[kind]
        complete = ("users" if kind == "token" else listing) in self.view.complete
        if name not in getattr(self.state, listing) and complete:
            return f"there is no such {kind} any more; it comes back to life with the name"
        if role not in self.state.roles:
            return "there is no such role any more"
        if (kind, name) == ("user", ROOT):
            return "root@pam has all rights anyway"
        if paths.normalise(path) != path or not paths.is_valid(path, self.view.release):
            return "PVE would not take that path"
        if not all(is_harmless(text) for text in (name, role)):
            return "Ansible would take the name for a template"
        row = {"paths": [path], "roles": [role], listing: [name]}
        return "" if _is_taken(parse_acl, row) else "the name is none that PVE would take"

    def _is_gone(self, path: str) -> bool:
        vmid = paths.guest_of(path)
        return vmid is not None and "guests" in self.view.complete and vmid not in (self.view.guests or ())

    # -- readers -------------------------------------------------------------------------------------------------------

    def _readers(
        self, users: Mapping[str, Row], tokens: Mapping[str, Row], entries: Mapping[Entry, bool]
    ) -> dict[str, dict[Entry, bool]]:
        """Return the tokens that the shorthand for readers stands for in full, each with the entries of both halves.

        A reader's user has nothing but what his readers share with him.
        """
        if not {"users", "acl"} <= self.view.complete:
            return {}
        found: dict[str, dict[Entry, bool]] = {}
        for owner in users:
            if self.state.users[owner].groups:
                continue
            pairs: dict[str, dict[Entry, bool]] = {}
            for tokenid in sorted(self.state.tokens_of.get(owner, ())):
                if tokenid in tokens:
                    pair = self._pair(self.state.tokens[tokenid], entries)
                    pairs.update({tokenid: pair} if pair else {})
            shared = {e: flag for pair in pairs.values() for e, flag in pair.items() if e.principal.kind == "user"}
            if shared and set(shared) == set(self._entries_of(Principal("user", owner))):
                found.update(pairs)
        return found

    def _pair(self, token: Token, entries: Mapping[Entry, bool]) -> dict[Entry, bool] | None:
        """Return the entries of token and user, if they are those of a reader."""
        mine = self._entries_of(Principal("token", token.tokenid))
        roles = {entry.role for entry in mine}
        main = roles - {LOGS_ROLE} or roles
        logs = self.state.roles.get(LOGS_ROLE)
        if not token.privsep or len(main) != 1 or len({(entry.path, flag) for entry, flag in mine.items()}) != 1:
            return None
        if main != roles and (logs is None or logs.privs != {"Sys.Syslog"}):
            return None
        owner = Principal("user", token.userid)
        pair = {**mine, **{entry._replace(principal=owner): flag for entry, flag in mine.items()}}
        if any(entries.get(entry) != flag or self._is_gone(entry.path) for entry, flag in pair.items()):
            return None
        return pair

    def _entries_of(self, principal: Principal) -> dict[Entry, bool]:
        at_paths = self.state.acl.get(principal, {})
        return {Entry(path, principal, role): flag for path, roles in at_paths.items() for role, flag in roles.items()}

    # -- writing -------------------------------------------------------------------------------------------------------

    def _put(self, key: str, rows: list[Row], *comment: str) -> None:
        if rows:
            self.part.document[key] = rows
            self.part.say((key,), "", *comment)

    def _write_readers(
        self, readers: Mapping[str, Mapping[Entry, bool]], roles: dict[str, Row], entries: dict[Entry, bool]
    ) -> None:
        rows: list[Row] = []
        for tokenid, pair in sorted(readers.items()):
            mine = {entry.role: (entry.path, flag) for entry, flag in pair.items() if entry.principal.kind == "token"}
            role = min(set(mine) - {LOGS_ROLE} or mine)
            path, propagate = mine[role]
            token = self.state.tokens[tokenid]
            row: Row = {"token": tokenid, "role": role, "path": path}
            if not propagate:
                row["propagate"] = False
            if len(mine) > 1:
                row["logs"] = True
                # It comes with the first reader of logs.
                roles.pop(LOGS_ROLE, None)
            if token.expire:
                row["expire"] = moment(token.expire)
            row.update(self._texts(f"token {tokenid}", token, ("comment",), parse_token, {"tokenid": tokenid}))
            self.part.say(("readers", len(rows)), *self._named([path]))
            rows.append(row)
            for entry in pair:
                entries.pop(entry, None)
        self._put(
            "readers",
            rows,
            "Each is a user, a token of his with privilege separation, and the same ACL entry for both of them.",
        )

    def _write_objects(
        self,
        groups: Mapping[str, Row],
        users: Mapping[str, Row],
        tokens: Mapping[str, Row],
        roles: Mapping[str, Row],
        readers: Iterable[str],
    ) -> None:
        owners = {owner_of(tokenid) for tokenid in readers}
        shown = [row for name, row in users.items() if name not in owners or len(row) > 1]
        for number, row in enumerate(shown):
            if row["userid"] not in owners:
                self.part.say(("users", number), *self._about(row["userid"]))
        mine = [row for name, row in tokens.items() if name not in set(readers)]
        for number, row in enumerate(mine):
            self.part.say(("tokens", number), *self._about(row["tokenid"]))
        own = list(roles.values())
        for number, row in enumerate(own):
            self.part.say(("roles", number), *self._holders(row["roleid"]))
        for number, row in enumerate(groups.values()):
            members = sorted(self.state.members.get(row["groupid"], ()))
            self.part.say(("groups", number), some_of(members) if members else "nobody is in it")
        self._put("groups", list(groups.values()), "Groups, with who is in them.")
        self._put("users", shown, "Users. root@pam is left alone by everything here.")
        self._put(
            "tokens",
            mine,
            "Tokens. They keep the secrets that they have; a new one needs a secret_file to keep its own in.",
        )
        self._put("roles", own, "Roles that do not come with PVE.")

    def _about(self, subject: str) -> list[str]:
        """Return what somebody reviewing a user or token wants to know first."""
        told = []
        owner = owner_of(subject)
        if self.observed.evaluator.privileges(subject, "/").get(_GIVES_RIGHTS):
            told.append("an administrator: may give rights to anybody")
        if is_token(subject) and not self.state.tokens[subject].privsep:
            told.append(f"may do all that {owner} may")
        tokens = sorted(self.state.tokens_of.get(subject, ()))
        if tokens:
            told.append(f"has {'tokens' if len(tokens) > 1 else 'a token'}: {some_of(tokens)}")
        return ["; ".join(told)] if told else []

    def _holders(self, role: str) -> list[str]:
        held = {entry.principal for entry, unused in self.state.entries() if entry.role == role}
        return [f"given to {some_of(f'{who.kind} {who.name}' for who in sorted(held))}" if held else "given to nobody"]

    def _named(self, at: Iterable[str]) -> list[str]:
        """Return which guests are on some paths, for those who do not know them by number."""
        told = []
        for path in at:
            vmid = paths.guest_of(path)
            name = self.observed.guests.get(vmid, {}).get("name") if vmid is not None else None
            if name:
                told.append(f"{path} is {name}")
        return [some_of(told)] if told else []

    def _write_acls(self, entries: Mapping[Entry, bool]) -> None:
        sections: dict[str, dict[Entry, bool]] = {}
        everything, rest = "These may do everything on their paths.", "Who may do what, and where."
        gone = "There are no such guests (any more)."
        for title in (everything, rest, gone):
            sections[title] = {}
        for entry, flag in entries.items():
            title = gone if self._is_gone(entry.path) else everything if entry.role == ADMINISTRATOR else rest
            sections[title][entry] = flag
        rows: list[Row] = []
        for title, inside in sections.items():
            for number, item in enumerate(merged(inside)):
                place = ("acls", len(rows))
                self.part.say(place, *([title] if number == 0 else []), *self._named(item.paths))
                row: Row = {"paths": list(item.paths), "roles": list(item.roles)}
                for kind, listing in _KINDS.items():
                    names = [who.name for who in item.principals if who.kind == kind]
                    row.update({listing: names} if names else {})
                row["propagate"] = item.propagate
                if title == gone:
                    row["allow_missing"] = True
                rows.append(row)
        self._put("acls", rows, "ACL entries: each item is every combination of its paths, roles and names.")

    def _write_pools(self) -> None:
        """Write the pools, where all that is in them is known: rights on a pool hold for that, too."""
        if not self._knows_pools():
            self.part.note(f"pools are left out: {self.view.caller} does not see all of them and of their members")
            return
        pools = sorted(self.state.pools.items())
        rows = [self._pool(name, pool) for name, pool in pools]
        rows = [row for row in rows if self._can_be_said(f"pool {row['poolid']}", row["poolid"], parse_pool, row)]
        self._put("pools", rows, "Pools. Rights on a pool hold for all that is in it.")

    def _knows_pools(self) -> bool:
        return {"pools", ALL_MEMBERS, "guests"} <= self.view.complete

    def _pool(self, name: str, pool: Pool) -> Row:
        row: Row = {"poolid": name, "vms": sorted(pool.vms), "storage": sorted(pool.storage)}
        return {**row, **self._texts(f"pool {name}", pool, ("comment",), parse_pool, {"poolid": name})}

    def _write_exclusive(self) -> None:
        synced = [name for name, row in sorted((self.observed.realms or {}).items()) if row.get("type") in _SYNCED]
        scopes: dict[str, tuple[str, Row]] = {
            "tokens": ("users", {"users": ["*"]}),
            "acls": ("acl", {"paths": ["*"]}),
            "users": ("users", {"ids": ["*"]}),
            "groups": ("groups", {"ids": ["*"]}),
            "roles": ("roles", {"ids": ["*"]}),
        }
        if synced:
            self.part.note(
                f"users and groups that {some_of(synced)} will bring: an audit finds them until they are declared, and "
                "applying this takes them away; declare them first, or narrow what is exclusive"
            )
        if self._knows_pools():
            scopes["pools"] = ("pools", {"ids": ["*"]})
        found = {}
        for kind, (needed, scope) in scopes.items():
            if needed in self.view.complete:
                found[kind] = scope
            else:
                self.part.note(f"undeclared {kind} are not unexpected: {self.view.caller} does not see all of them")
        self.part.document["exclusive"] = found
        told = "What comes up later and is not here is found by an audit, and taken away when this is applied."
        self.part.say(("exclusive",), "", told)
        if self.keep:
            self.part.document["keep"] = sorted(self.keep)
            self.part.say(("keep",), "", "These stay, although this file cannot say them as they are:")
            self.part.say(("keep",), *(f"- {why}" for unused, why in sorted(self.keep.items())))


def moment(epoch: int) -> str:
    """Return a time as people write an expiry, in UTC."""
    if epoch >= _LAST_YEAR:
        return str(epoch)
    return time.strftime("%Y-%m-%d" if epoch % DAY == 0 else "%Y-%m-%d %H:%M:%S", time.gmtime(epoch))


def _is_taken(parse: Callable[[Row], Any], row: Row) -> bool:
    try:
        parse(row)
    except OptionError:
        return False
    return True


def merged(entries: Mapping[Entry, bool]) -> list[_Item]:
    """Return ACL entries as few items, in the order of their paths."""
    roles: dict[tuple[str, Principal, bool], set[str]] = {}
    for entry, flag in entries.items():
        roles.setdefault((entry.path, entry.principal, flag), set()).add(entry.role)
    items = [_Item((path,), (who,), tuple(sorted(given)), flag) for (path, who, flag), given in roles.items()]
    one = _join(_join(items, "principals"), "paths")
    other = _join(_join(items, "paths"), "principals")
    fewest = one if len(one) <= len(other) else other
    return sorted(fewest, key=lambda item: (item.paths, item.principals, item.roles, item.propagate))


def _join(items: Iterable[_Item], part: str) -> list[_Item]:
    """Put together the items that differ in nothing but one part."""
    found: dict[tuple[Any, ...], set[Any]] = {}
    kept = [name for name in ("paths", "principals", "roles", "propagate") if name != part]
    for item in items:
        found.setdefault(tuple(getattr(item, name) for name in kept), set()).update(getattr(item, part))
    return [_Item(**{**dict(zip(kept, values)), part: tuple(sorted(together))}) for values, together in found.items()]
