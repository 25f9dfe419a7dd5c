"""One server and one pool size: every script through the proxy, beside what PostgreSQL said."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from comparison import neighbours
from comparison.findings import Finding, Tally, difference
from comparison.generated import smallest
from comparison.ground import Ground, StillHeld, door_to
from comparison.neighbours import Company
from comparison.telling import tell
from sluice_testing.door import Door
from sluice_testing.raw import Refused
from sluice_testing.stories import HUNG, WHOLE, Cut, Story, Transcript

# Scripts that hang cost their patience: after so many the rest is not worth the wait.
MAX_HANGS = 25


@dataclass(frozen=True)
class Truth:
    """What PostgreSQL itself answered: to each script, and to each neighbour."""

    scripts: dict[str, Transcript]
    neighbours: dict[str, Transcript]


def truth(ground: Ground, door: Door, stories: Iterable[Story]) -> Truth:
    """The answers of the server behind `door`, which no proxy stands in front of."""
    told = {}
    for story in stories:
        ground.sweep(story)
        told[story.name] = tell(door_to(door), ground.password(story.user), story)
    return Truth(told, {})


def whole_truth(ground: Ground, door: Door, stories: Iterable[Story]) -> Truth:
    """The same with what the neighbours are to hear."""
    tales = [tale for pool in (1, 5) for tale in neighbours.company(pool)]
    heard = {tale.name: neighbours.learned(tale, door_to(door)) for tale in tales}
    return Truth(truth(ground, door, stories).scripts, heard)


class Cell:
    """Tells scripts at one door and keeps the tally. `alone`: without neighbours."""

    def __init__(self, ground: Ground, door: Door, truth: Truth, tally: Tally, alone: bool):
        self._ground, self._door, self._truth = ground, door_to(door), truth
        self.tally = tally
        tales = [] if alone else neighbours.company(tally.pool)
        answers = [truth.neighbours[tale.name] for tale in tales]
        self._company = Company(tales, answers, self._door)
        self._hangs = 0

    def tell_all(self, stories: Iterable[Story], cut: Cut = WHOLE) -> Iterator[Finding | None]:
        """One after the other; what differs, if it does."""
        for story in stories:
            if self._hangs < MAX_HANGS:
                finding = self.told(story, cut)
            else:
                finding = Finding(story.name, "", f"not told: {MAX_HANGS} others hung")
            if finding and self._is_by_chance(finding, story, cut):
                self.tally.by_chance.append(finding)
                finding = None
            if finding:
                self.tally.findings.append(finding)
            yield finding

    def _is_by_chance(self, finding: Finding, story: Story, cut: Cut) -> bool:
        """Whether it is told right at least twice in four more times: what neighbours left on
        a connection, or the moment, made the difference.

        docs/compatibility.md has what is known of these. A neighbour's own answers, and what
        hangs, are never left to chance.
        """
        if finding.touches or "hung" in finding.what or "hangs" in finding.what:
            return False
        return sum(self.told(story, cut) is None for _ in range(4)) >= 2

    def shrunk(self, story: Story, direct: Door) -> Finding | None:
        """A generated script that differs, without whatever it need not hold for that."""

        def told(smaller: Story) -> Finding | None:
            self._truth.scripts.update(truth(self._ground, direct, [smaller]).scripts)
            return self.told(smaller)

        return told(smallest(story, lambda smaller: told(smaller) is not None))

    def told(self, story: Story, cut: Cut = WHOLE) -> Finding | None:
        """Tells one script."""
        self.tally.runs += 1
        touches = False
        how = f"cut {cut.size}" if cut.size else f"split at {cut.at}" if cut.at else ""
        try:
            wrong, touches = self._differs(story, cut)
        except StillHeld as error:
            wrong = f"the one before left something locked: {error}"
        except (OSError, Refused) as error:
            wrong = f"a neighbour is not let in: {error}"
        self._hangs += "hung" in wrong or "hangs" in wrong
        return Finding(story.name, how, wrong, touches) if wrong else None

    def _differs(self, story: Story, cut: Cut) -> tuple[str, bool]:
        """What is wrong, and whether with a neighbour, too."""
        self._ground.sweep(story)
        password = self._ground.password(story.user)
        got = tell(self._door, password, story, cut, self._company.move)
        wrong = self._company.settle()
        found = difference(story, self._truth.scripts[story.name], got)
        if not found and got[-1][-1:] == [HUNG]:
            found = "hung as PostgreSQL does"
        return "\n     and ".join(([found] if found else []) + wrong), bool(wrong)

    def close(self) -> None:
        self._company.leave()
