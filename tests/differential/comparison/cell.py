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
            if finding:
                self.tally.findings.append(finding)
            yield finding

    def shrunk(self, story: Story, direct: Door) -> Finding | None:
        """A generated script that differs, without whatever it need not hold for that."""

        def told(smaller: Story) -> Finding | None:
            self._truth.scripts.update(truth(self._ground, direct, [smaller]).scripts)
            return self.told(smaller)

        return told(smallest(story, lambda smaller: told(smaller) is not None))

    def told(self, story: Story, cut: Cut = WHOLE) -> Finding | None:
        """Tells one script."""
        self.tally.runs += 1
        how = f"cut {cut.size}" if cut.size else f"split at {cut.at}" if cut.at else ""
        try:
            wrong = self._differs(story, cut)
        except StillHeld as error:
            wrong = f"the one before left something locked: {error}"
        except (OSError, Refused) as error:
            wrong = f"a neighbour is not let in: {error}"
        self._hangs += "hung" in wrong or "hangs" in wrong
        return Finding(story.name, how, wrong) if wrong else None

    def _differs(self, story: Story, cut: Cut) -> str:
        self._ground.sweep(story)
        password = self._ground.password(story.user)
        got = tell(self._door, password, story, cut, self._company.move)
        wrong = self._company.settle()
        found = difference(story, self._truth.scripts[story.name], got)
        if not found and got[-1][-1:] == [HUNG]:
            found = "hung as PostgreSQL does"
        return "\n     and ".join(([found] if found else []) + wrong)

    def close(self) -> None:
        self._company.leave()
