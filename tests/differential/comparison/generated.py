"""Scripts by dice: well-formed messages in whatever order, and one that fails made small.

Most are full of errors, skipped messages, aborted transactions and COPY at the wrong moment.
One script is a few rounds; neighbours move between rounds, and each ends with a mark, which
is answered in every state. The same count gives the same scripts; a seed gives others.
"""

from collections.abc import Callable, Iterator
from functools import cache

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from sluice_testing.raw import COPY_DONE, SYNC, close, describe, parse
from sluice_testing.stories import Step, Story
from wirescripts.fragments import COMMON, FRAGMENTS, RARE, SETUP

# Ends a COPY and a pipeline, whatever went before; then answers that nothing else gives, in
# an aborted transaction, too. PostgreSQL may fail at the first message after a simple query in
# a pipeline ("StartTransactionCommand: unexpected state STARTED"), hence two of them.
_MARK = parse("", "mark") + close("S", "mark") + SYNC
MARK = (
    SYNC + COPY_DONE + SYNC + COPY_DONE + SYNC
    + _MARK + parse("", "mark") + describe("S", "mark") + close("S", "mark") + SYNC
)  # fmt: skip
MARKED = "1tn3Z"

Rounds = tuple[tuple[str, ...], ...]  # names of fragments

_fragments = st.sampled_from(sorted(COMMON)) | st.sampled_from(sorted(RARE))
_rounds = st.lists(_fragments, min_size=1, max_size=7).map(tuple)
rounds = st.lists(_rounds, min_size=1, max_size=5).map(tuple)


@cache
def made(count: int, number: int = 0) -> list[Story]:
    """`count` different scripts; `number` is the seed."""
    if not count:
        return []
    found: dict[Rounds, None] = {}

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    @given(rounds)
    def collect(example: Rounds) -> None:
        found[example] = None

    collect()
    return [script(example) for example in found]


def script(names: Rounds) -> Story:
    """What these fragments say, round by round."""
    steps = [Step(b"".join(FRAGMENTS[name] for name in some) + MARK, tail=MARKED) for some in names]
    title = " / ".join(" + ".join(some) for some in names)
    return Story(f"generated: {title}", tuple(steps), SETUP, exceptions=("last_words",))


def names_of(story: Story) -> Rounds:
    """The fragments of a generated script."""
    title = story.name.removeprefix("generated: ")
    return tuple(tuple(some.split(" + ")) for some in title.split(" / "))


def smallest(story: Story, fails: Callable[[Story], bool]) -> Story:
    """The script without whatever it need not hold to fail."""
    names = names_of(story)
    for _ in range(60):
        for fewer in _fewer(names):
            if fails(script(fewer)):
                names = fewer
                break
        else:
            break
    return script(names)


def _fewer(names: Rounds) -> Iterator[Rounds]:
    """One round less, or one fragment less."""
    for at in range(len(names)):
        if len(names) > 1:
            yield names[:at] + names[at + 1 :]
    for at, some in enumerate(names):
        for place in range(len(some)):
            if len(some) > 1:
                yield (*names[:at], some[:place] + some[place + 1 :], *names[at + 1 :])
