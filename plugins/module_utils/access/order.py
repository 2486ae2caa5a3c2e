"""The order in which a plan's calls are safe.

Between the state before and the state after, at no moment does anybody hold a privilege on a path that neither of the
two gives, and nobody loses one that both give. Most plans have such an order; it is found by taking, again and again,
a step that stays within these bounds. Where none is left, the plan narrows first: it takes a step that gives nobody
too much but takes something away for a while, and where there is no such step either, it blocks the ids concerned
with NoAccess entries until the rest is done. Either way it says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..client.errors import PveError
from .model import NO_ACCESS, AccessState, Entry, Principal, is_token, owner_of
from .observe import user_is_usable
from .permissions import Evaluator, sources
from .steps import Step, block_steps, unblock_steps

Rights = dict[str, frozenset[str]]  # path -> privileges

# Up to so many steps that hang together, every order is tried before anything is taken away.
EXHAUSTIVE = 8


@dataclass(frozen=True)
class Ordered:
    """The steps in their order, and what is to be told about it."""

    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()


def order(steps: Sequence[Step], before: AccessState, target: AccessState, caller: str, now: float) -> Ordered:
    """Put the steps into a safe order. Those that touch the caller come last, as far as the others allow it."""
    bounds = _Bounds(before, target, now)
    found: list[Step] = []
    warnings: list[str] = []
    state = before
    for group in _independent(steps, bounds, owner_of(caller)):
        search = _Search(bounds, state, owner_of(caller))
        taken, said = search.run(list(group))
        for step in taken:
            state = step.effect(state)
        found += taken
        warnings += said
    return Ordered(tuple(found), tuple(warnings))


class _Bounds:
    """What each subject may hold at the most, and must hold at the least, while the plan is under way."""

    def __init__(self, before: AccessState, target: AccessState, now: float) -> None:
        self.before = before
        self.target = target
        self.now = now
        self._limits: dict[str, tuple[Rights, Rights]] = {}
        # By the identity of the step, which is kept here so that no other can get the same.
        self._subjects: dict[int, tuple[Step, frozenset[str]]] = {}

    def subjects(self, step: Step) -> frozenset[str]:
        """Return all ids whose rights a step may change: users, the members of groups, and the tokens of both.

        What lies between the two states touches nobody that neither of them does.
        """
        key = id(step)
        if key not in self._subjects:
            self._subjects[key] = (step, frozenset(self._touched(step)))
        return self._subjects[key][1]

    def _touched(self, step: Step) -> Iterator[str]:
        states = (self.before, self.target)
        principals = {principal for state in states for principal in step.touches(state)}
        for kind, name in principals:
            members = {m for state in states for m in state.members.get(name, ())} if kind == "group" else {name}
            for member in members:
                yield member
                for state in states:
                    yield from state.tokens_of.get(member, ())

    def paths(self, subject: str) -> frozenset[str]:
        """Return the paths on which the rights of a subject can differ: where entries are, and just below these."""
        states = (self.before, self.target)
        principals = {principal for state in states for principal in sources(state, subject)}
        nodes = {node for state in states for principal in principals for node in state.acl.get(principal, {})}
        found = nodes | {_below(node) for node in nodes}
        if any(node == "/" or node.startswith("/pool") for node in nodes):
            found |= set(self.before.pools_of) | set(self.target.pools_of)
        return frozenset(found)

    def limits(self, subject: str) -> tuple[Rights, Rights]:
        """Return (least, most) for each path that matters to the subject."""
        if subject not in self._limits:
            at = self.paths(subject)
            was = rights(self.before, subject, at, self.now)
            will = rights(self.target, subject, at, self.now)
            self._limits[subject] = (
                {path: was[path] & will[path] for path in at},
                {path: was[path] | will[path] for path in at},
            )
        return self._limits[subject]


def _below(node: str) -> str:
    return node.rstrip("/") + "/~"


def rights(state: AccessState, subject: str, at: Iterable[str], now: float) -> Rights:
    """Return what a subject holds on each path, and apart from it what it can use because it can log in."""
    evaluator = Evaluator(state)
    usable = user_is_usable(state, subject, now)
    found: Rights = {}
    for path in at:
        held = frozenset(evaluator.privileges(subject, path))
        found[path] = held | {name + " (usable)" for name in held} if usable else held
    return found


@dataclass
class _Verdict:
    """What a step would do to the bounds: whom it gives too much, and from whom it takes what both states give."""

    exceeds: frozenset[str] = frozenset()
    narrows: tuple[tuple[str, str, frozenset[str]], ...] = ()


class _Search:
    """Finds the order of steps that hang together."""

    def __init__(self, bounds: _Bounds, start: AccessState, caller_user: str) -> None:
        self.bounds = bounds
        self.start = start
        self.caller_user = caller_user

    def run(self, steps: list[Step]) -> tuple[list[Step], list[str]]:
        """Return the steps in order, with the steps that block and unblock where it takes any, and the warnings."""
        taken, state, left = self._greedy(self.start, steps)
        if left and len(steps) <= EXHAUSTIVE:
            every = self._exhaustive(steps)
            if every is not None:
                return every, []
        if left and any(step.parts for step in steps):
            return self.run([part for step in steps for part in step.parts or (step,)])
        warnings: list[str] = []
        unblock: list[Step] = []
        while left:
            step = self._narrowing(state, left)
            if step is not None:
                left.remove(step)
                next_steps = [step]
            else:
                next_steps, give = self._block(state, left)
                unblock += give
                left = _without(left, give)
                warnings += _say_blocked(give)
            for step in next_steps:
                warnings += self._say(self._verdict(step, state))
                state = step.effect(state)
            more, state, left = self._greedy(state, left)
            taken += next_steps + more
        return taken + unblock, list(dict.fromkeys(warnings))

    def _greedy(self, state: AccessState, steps: list[Step]) -> tuple[list[Step], AccessState, list[Step]]:
        """Take every step that stays within the bounds, over and over. Return taken, the state, and what is left."""
        taken: list[Step] = []
        left = list(steps)
        progress = True
        while left and progress:
            progress = False
            for step in self._caller_last(left):
                if not step.ready(state):
                    continue
                verdict = self._verdict(step, state)
                if verdict.exceeds or verdict.narrows:
                    continue
                state = step.effect(state)
                taken.append(step)
                left.remove(step)
                progress = True
        return taken, state, left

    def _caller_last(self, steps: list[Step]) -> list[Step]:
        own = [step for step in steps if self._touches_caller(step)]
        return [step for step in steps if step not in own] + own

    def _touches_caller(self, step: Step) -> bool:
        return any(owner_of(subject) == self.caller_user for subject in self.bounds.subjects(step))

    def _exhaustive(self, steps: list[Step]) -> list[Step] | None:
        """Try every order, each set of taken steps once. Return one that stays within the bounds, or None."""
        dead: set[frozenset[int]] = set()

        def go(state: AccessState, taken: tuple[int, ...]) -> tuple[int, ...] | None:
            if len(taken) == len(steps):
                return taken
            key = frozenset(taken)
            if key in dead:
                return None
            for number, step in enumerate(steps):
                if number in key or not step.ready(state):
                    continue
                verdict = self._verdict(step, state)
                if verdict.exceeds or verdict.narrows:
                    continue
                found = go(step.effect(state), (*taken, number))
                if found is not None:
                    return found
            dead.add(key)
            return None

        found = go(self.start, ())
        return None if found is None else [steps[number] for number in found]

    def _narrowing(self, state: AccessState, left: list[Step]) -> Step | None:
        """Return a step that gives nobody too much, though it takes something away; the caller's own last."""
        for step in self._caller_last(left):
            if step.ready(state) and not self._verdict(step, state).exceeds:
                return step
        return None

    def _block(self, state: AccessState, left: list[Step]) -> tuple[list[Step], list[Step]]:
        """Return steps that take all rights from the ids that the next step would give too much, and give them back."""
        for step in left:
            if not step.ready(state):
                continue
            take: list[Step] = []
            give: list[Step] = []
            for principal in self._to_block(state, step):
                nodes = self._nodes_to_block(state, principal)
                meant = {n: self.bounds.target.propagate(Entry(n, principal, NO_ACCESS)) for n in nodes}
                take += block_steps(principal, nodes)
                give += unblock_steps(principal, meant)
            if take:
                return take, give
        raise PveError(
            f"There is no safe order for these changes: {', '.join(str(step.change) for step in left)}.",
            "Make them in two runs, the ones that take rights away first.",
        )

    def _to_block(self, state: AccessState, step: Step) -> list[Principal]:
        """Return whom to block before a step; nobody where that cannot be done, or would cut off the caller."""
        exceeds = self._verdict(step, state).exceeds
        users = {subject for subject in exceeds if not is_token(subject)}
        # A blocked owner blocks his tokens.
        tokens = {subject for subject in exceeds - users if owner_of(subject) not in users}
        there = users <= set(state.users) and all(t in state.tokens and state.tokens[t].privsep for t in tokens)
        if not there or any(owner_of(subject) == self.caller_user for subject in exceeds):
            return []
        return [Principal("user", name) for name in sorted(users)] + [Principal("token", t) for t in sorted(tokens)]

    def _nodes_to_block(self, state: AccessState, principal: Principal) -> set[str]:
        """Return the nodes at which a principal has to be blocked, less those where he is and stays so."""
        nodes = {"/"}
        for side in (state, self.bounds.target):
            for source in sources(side, principal.name):
                if source == principal or principal.kind == "user":
                    nodes |= set(side.acl.get(source, {}))
        return {n for n in nodes if state.propagate(Entry(n, principal, NO_ACCESS)) is not True}

    def _verdict(self, step: Step, state: AccessState) -> _Verdict:
        after = step.effect(state)
        exceeds: set[str] = set()
        narrows: list[tuple[str, str, frozenset[str]]] = []
        for subject in sorted(self.bounds.subjects(step)):
            least, most = self.bounds.limits(subject)
            now_held = rights(after, subject, least, self.bounds.now)
            had: Rights | None = None
            for path, held in sorted(now_held.items()):
                if held - most[path]:
                    exceeds.add(subject)
                missing = least[path] - held
                if missing:
                    had = had or rights(state, subject, least, self.bounds.now)
                    if missing & had[path]:  # what was taken by an earlier step is not this one's doing
                        narrows.append((subject, path, missing & had[path]))
        return _Verdict(frozenset(exceeds), tuple(narrows))

    def _say(self, verdict: _Verdict) -> list[str]:
        said = []
        for subject, path, missing in verdict.narrows:
            names = sorted(name for name in missing if not name.endswith(" (usable)"))
            if names and not path.endswith("/~"):
                said.append(
                    f"No order of these changes keeps all rights at all times: {subject} is without "
                    f"{', '.join(names)} on {path} until they are done."
                )
        return said


def _say_blocked(give: list[Step]) -> list[str]:
    """Say what has to be removed by hand where the run is cut off before it does so itself."""
    blocked = sorted({f"{step.change.id} of {who}" for step in give for who in step.change.before or {}})
    return [f"For a while there are NoAccess entries on {', '.join(blocked)}; where this run is cut off, remove them."]


def _without(steps: list[Step], unblocking: list[Step]) -> list[Step]:
    """Leave out the planned removals of entries that unblocking removes anyway."""
    removed = {str(step.change.call) for step in unblocking}
    return [step for step in steps if str(step.change.call) not in removed]


def _independent(steps: Sequence[Step], bounds: _Bounds, caller_user: str) -> list[list[Step]]:
    """Part the steps into groups that touch nobody in common. The group that touches the caller comes last.

    Roles and groups that nobody has yet touch nobody, and what needs them is not ready before: they come first.
    """
    parent = list(range(len(steps)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    seen: dict[str, int] = {}
    lone: list[int] = []
    for number, step in enumerate(steps):
        subjects = bounds.subjects(step)
        for subject in subjects:
            owner = owner_of(subject)
            if owner in seen:
                parent[root(number)] = root(seen[owner])
            else:
                seen[owner] = number
        if not subjects:
            lone.append(number)
    groups: dict[int, list[Step]] = {}
    for number, step in enumerate(steps):
        groups.setdefault(-1 if number in lone else root(number), []).append(step)
    makes = [step for step in groups.pop(-1, []) if step.change.action != "delete"]
    others = [step for number, step in enumerate(steps) if number in lone and step not in makes]
    callers = root(seen[caller_user]) if caller_user in seen else None
    ordered = [group for number, group in groups.items() if number != callers]
    ordered += [others] if others else []
    ordered += [groups[callers]] if callers in groups and callers is not None else []
    return ([makes] if makes else []) + ordered
