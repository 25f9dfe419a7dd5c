"""How the pods of a proxy share its budget B: their sum is never above it.

A pod holds to the document it read last, and nobody knows which one that is before the pod
says so. So whoever is to have less is told first; only when every pod that answers has
taken that document does anybody get more. What a pod still has open counts until its server
let go of it. Pods that no document names yet (they surge, or replace one that died while no
operator was there) take `others` each, and there is room for all of them.
"""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sluice_proxy.config import Fleet, PodShare, kept

STARTERS = 10
"""Pods that are not named yet may take this part of the budget together: one tenth."""

HOLD_SECONDS = 10.0
"""How long the share of a pod that vanished stays its own: who is deleted by force runs on
for some seconds while its object is gone."""

WORTH = 4
"""While pods come and go nobody is given less than a quarter more: it would be all writes."""


@dataclass(frozen=True, slots=True)
class Member:
    """A pod that lives. `limit` is what it says it may open, None if it does not answer.

    `open` is what it has open, `current` tells that it has taken the present document, or
    drains, so that its limit only falls.
    """

    name: str
    running: bool = True
    terminating: bool = False
    limit: int | None = None
    open: int = 0
    current: bool = False

    @property
    def answers(self) -> bool:
        return self.limit is not None


@dataclass(frozen=True, slots=True)
class Missing:
    """A pod that vanished: what it may still have open, and since when (seconds)."""

    ceiling: int
    since: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What must be known of pods that cannot be asked: their last ceilings, and who is missing."""

    ceilings: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, Missing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """`fleet` is what the present document says, `budget` is B, None if no pod tells it.

    `members` come in the order in which they are served when there is not enough. `asleep`:
    the Deployment shall have no pod, and somebody else may wake it to `replicas`. `finished`
    are pods whose processes have ended, so that they hold nothing any more.
    """

    replicas: int
    budget: int | None
    fleet: Fleet
    members: tuple[Member, ...] = ()
    memory: Memory = field(default_factory=Memory)
    now: float = 0.0
    asleep: bool = False
    finished: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Division:
    """The next document's `fleet`. `settled`: nothing is being waited for. `fits`: all pods
    that `replicas` may lead to have room, so that the Deployment may be scaled so far."""

    fleet: Fleet
    memory: Memory
    settled: bool = True
    fits: bool = True


def divide(question: Question) -> Division:
    """Who may open how much from now on; equal to the present if nothing has to change."""
    question = replace(question, budget=_budget(question))
    memory = _remembered(question)
    if question.budget is None:
        return Division(_unknown(question), memory, fits=not question.members)
    ledger = _Ledger(question, question.budget, memory)
    fleet = ledger.fleet()
    agreed = _agreed(question.members)
    return Division(
        fleet=fleet,
        memory=memory,
        settled=agreed and fleet == question.fleet and not ledger.wanting(),
        fits=agreed and fleet == question.fleet and ledger.taken() <= question.budget,
    )


def smallest_budget(replicas: int) -> int:
    """Below it not every pod can have a connection while others start beside it."""
    return 2 * replicas + 1


def starters_share(budget: int, replicas: int) -> int:
    """What a pod takes that no document names yet; `replicas` and one that surges may."""
    if budget < smallest_budget(replicas):
        return 0
    return max(1, budget // (STARTERS * (replicas + 1)))


def wake_share(budget: int, replicas: int) -> int:
    """What a pod takes that was woken while no operator looked: as `starters_share`, of all."""
    return budget // (replicas + 1)


def even(amount: int, count: int) -> list[int]:
    """`amount` in `count` parts that differ by one at most, larger ones first."""
    if count == 0:
        return []
    each, rest = divmod(max(0, amount), count)
    return [each + (index < rest) for index in range(count)]


def _budget(question: Question) -> int | None:
    """B, or what it was: pods that have no share open nothing, and so never ask the server.

    Who sleeps asks nobody. If it has become smaller, they take that much less by themselves.
    """
    if question.budget is None and (question.asleep or any(m.answers for m in question.members)):
        return question.fleet.total or None
    return question.budget


def _unknown(question: Question) -> Fleet:
    """Until a pod has logged in: equal parts for all that may be there, one that surges too.

    They stay while there are pods that may have read them: no more come before one has.
    """
    if question.fleet.total or (question.fleet.parts > 1 and question.members):
        return question.fleet
    return Fleet(parts=question.replicas + 1)


def _kept_by(member: Member) -> int:
    """What it has in any case by a document that does not name it."""
    return kept(member.limit or 0)


def _agreed(members: Sequence[Member]) -> bool:
    """Whether everybody who can be told anything has taken the present document."""
    return all(m.current for m in members if m.answers and not m.terminating)


def _unnamed(question: Question) -> int:
    """What the present document gives to pods that it does not name."""
    if question.fleet.total:
        return question.fleet.others
    return max(1, (question.budget or 0) // question.fleet.parts)


def _remembered(question: Question) -> Memory:
    alive = {member.name for member in question.members}
    before = dict(question.memory.ceilings)
    for item in question.fleet.shares:
        before[item.pod] = max(item.share, before.get(item.pod, 0))
    known, over = question.memory.missing, alive | question.finished
    missing = {pod: gone for pod, gone in known.items() if pod not in question.finished} | {
        pod: Missing(ceiling, question.now)
        for pod, ceiling in before.items()
        if pod not in over and pod not in known
    }
    # By the first document, which has no shares, it may have had as much as anybody.
    least = 0 if question.fleet.total else _unnamed(question)
    return Memory(
        ceilings={member.name: _ceiling(member, question) for member in question.members},
        missing={
            pod: replace(gone, ceiling=max(gone.ceiling, least))
            for pod, gone in missing.items()
            if question.now - gone.since < HOLD_SECONDS
        },
    )


def _ceiling(member: Member, question: Question) -> int:
    """The most that the pod may have open before the next document is written."""
    named = {item.pod: item.share for item in question.fleet.shares}
    told = named.get(member.name, _unnamed(question))
    known = _known_ceiling(member, question)
    return known if member.answers and member.current else max(known, told)


def _known_ceiling(member: Member, question: Question) -> int:
    """The same, whatever the present document says."""
    if member.limit is None:
        # It may run by any document that was written since it was asked last, or was made.
        start = starters_share(question.budget or 0, question.replicas)
        return question.memory.ceilings.get(member.name, start)
    return max(member.limit, member.open)


class _Ledger:
    """One division, on the way to its end."""

    def __init__(self, question: Question, budget: int, memory: Memory):
        self._unnamed = _unnamed(question)
        self._budget = budget
        self._ceilings = memory.ceilings
        self._named = {item.pod: item.share for item in question.fleet.shares}
        self._missing = memory.missing
        self._fixed = tuple(m for m in question.members if self._is_out_of_reach(m))
        self._sharing = tuple(m for m in question.members if not m.terminating and m.answers)
        self._starters = tuple(
            m for m in question.members if not (m.answers or self._is_out_of_reach(m))
        )
        starting = [self._ceilings[m.name] for m in self._starters]
        self._starting = len(starting)
        # Pods that the Deployment is yet to make share already, those that start do not.
        # Where all are told to go, not each one is known to be on its way yet.
        living = 0 if question.asleep else sum(not m.terminating for m in question.members)
        self._coming = max(0, question.replicas - living)
        wished, places = self._beginnings(question)
        self._others = self._affordable(wished, places, question)
        # The first document had no shares yet, and large parts: who started by it is here.
        most = max(self._others, self._unnamed if question.fleet.total else 0)
        self._spare = sum(max(most, ceiling) for ceiling in starting)
        # Who runs without a name is one of those that could start by the present document.
        unnamed = sum(m.name not in self._named for m in (*self._fixed, *self._sharing))
        empty = places - len(starting)
        by_present = min(empty, max(0, question.replicas + 1 - unnamed - len(starting)))
        self._spare += most * by_present + self._others * (empty - by_present)
        self._may_grow = _agreed(question.members)
        self._is_calm = self._may_grow and not (
            self._fixed or self._missing or self._starting or self._coming
        )
        # Whoever came while there was less, or lost the document, left nothing to start with.
        self._lacks = self._is_calm and self._others < wished
        if self._lacks:
            self._spare = max(self._spare, wished * places)
        self._targets = self._aims()

    def _beginnings(self, question: Question) -> tuple[int, int]:
        """What a pod without a name is meant to have, and how many of them may come.

        Until all that were woken run, the document stays what they wake by.
        """
        woken, usual = (
            share(self._budget, question.replicas) for share in (wake_share, starters_share)
        )
        awaited = self._starting + self._coming
        is_known = any(m.name in self._named for m in question.members if not m.terminating)
        is_waking = question.fleet.total > 0 and not is_known and self._unnamed > usual
        if question.asleep or (is_waking and awaited):
            return woken, awaited + 1
        return usual, max(question.replicas + 1, self._starting)

    def _affordable(self, wished: int, places: int, question: Question) -> int:
        """As much of `wished` as there is for each of `places`.

        Who has no name and may yet read the next document may have as much by it: so that the
        next division of the same comes to the same.
        """
        readers = [
            m
            for m in (*self._fixed, *self._sharing)
            if m.name not in self._named and not (m.answers and m.current)
        ]
        least = [_known_ceiling(member, question) for member in readers]
        others = self._held() + self._shared() - sum(self._ceilings[m.name] for m in readers)

        def taken(share: int) -> int:
            return others + sum(max(low, share) for low in least) + places * share

        fitting = bisect.bisect_right(range(wished + 1), self._budget, key=taken)
        return max(0, fitting - 1)

    def fleet(self) -> Fleet:
        shares = {**self._kept(), **self._given(), **self._begun()}
        return Fleet(
            total=self._budget,
            shares=tuple(PodShare(pod, share) for pod, share in sorted(shares.items())),
            others=self._others,
        )

    def wanting(self) -> bool:
        """Whether somebody has less than is meant for it."""
        return any(self._wants(member) for member in self._sharing)

    def taken(self) -> int:
        """The most that can be open now, pods that may start included."""
        return self._shared() + self._untouchable()

    def _is_out_of_reach(self, member: Member) -> bool:
        starts = not member.running and member.name not in self._named
        return member.terminating or not (member.answers or starts)

    def _shared(self) -> int:
        return sum(self._ceilings[member.name] for member in self._sharing)

    def _held(self) -> int:
        """What is held by pods that cannot be told to hold less."""
        fixed = sum(self._ceilings[member.name] for member in self._fixed)
        return fixed + sum(gone.ceiling for gone in self._missing.values())

    def _untouchable(self) -> int:
        return self._held() + self._spare

    def _aims(self) -> dict[str, int]:
        free = self._budget - self._untouchable()
        parts = even(free, len(self._sharing) + self._coming)
        aims = {m.name: part for m, part in zip(self._sharing, parts, strict=False)}
        for newest in self._sharing[:1]:
            # It may have let clients in: with nothing it could only refuse them when it drains.
            aims[newest.name] = max(aims[newest.name], min(1, self._ceilings[newest.name]))
        return aims

    def _present(self, member: Member) -> int:
        """What the present document gives it: to whom it does not name, a connection at least."""
        return self._named.get(member.name, max(self._unnamed, _kept_by(member)))

    def _wants(self, member: Member) -> bool:
        more = self._targets[member.name] - self._present(member)
        least = 1 if self._is_calm else max(1, self._targets[member.name] // WORTH)
        return more >= least

    def _kept(self) -> dict[str, int]:
        """Who cannot be told anything keeps its line, or it would be forgotten."""
        names = (*(member.name for member in self._fixed), *self._missing)
        return {name: self._named[name] for name in names if name in self._named}

    def _begun(self) -> dict[str, int]:
        """Who may have begun with something, and let clients in, keeps a connection of it.

        By a document before the present one, too, if what it is counted with is there.
        """
        if self._others or not (self._unnamed or self.taken() <= self._budget):
            return {}
        silent = (m for m in self._fixed if not m.terminating and m.name not in self._named)
        return {m.name: 1 for m in (*self._starters, *silent) if self._ceilings[m.name]}

    def _given(self) -> dict[str, int]:
        lower = self._lower()
        upper = {name: max(self._ceilings[name], share) for name, share in lower.items()}
        room = self._budget - self._untouchable() - sum(upper.values())
        given = {}
        for member in self._sharing:
            name = member.name
            share = lower[name]
            if self._may_grow and self._wants(member):
                share = max(share, min(self._targets[name], upper[name] + max(0, room)))
                room -= max(0, share - upper[name])
            # A connection that a pod keeps without a name is taken from it by name only.
            if name in self._named or share != self._others or self._others < _kept_by(member):
                given[name] = share
        return given

    def _lower(self) -> dict[str, int]:
        """Everybody's share after who has too much was told so."""
        present = {member.name: self._present(member) for member in self._sharing}
        if self._lacks or self.wanting() or self.taken() > self._budget:
            return {name: min(share, self._targets[name]) for name, share in present.items()}
        return present


def order(members: Sequence[tuple[str, Member]]) -> tuple[Member, ...]:
    """By the time they were made (Kubernetes' timestamps), the newest first: where there is
    not enough for all, a rollout must not wait for those it is there to replace."""
    ranked = sorted(members, key=lambda pair: pair[1].name)
    return tuple(member for _, member in sorted(ranked, key=lambda pair: pair[0], reverse=True))
