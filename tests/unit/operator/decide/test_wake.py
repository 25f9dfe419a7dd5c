"""What an activator's answer says of the last wake."""

from typing import Any

import pytest

from sluice_operator.decide.wake import Wake, parse_wake

STAGES = {"accept": 0.0, "patch": 0.021, "listening": 0.709, "splice": 0.73, "first_byte": 0.75}
TOLD = {"client": "10.1.2.3:40112", "at": 1_800_000_000.25, "stages": STAGES}


def test_a_wake_is_a_sentence() -> None:
    wake = parse_wake({"held": 0, "spliced": 1, "wake": TOLD})
    assert wake == Wake("10.1.2.3:40112", 1_800_000_000.25, STAGES)
    assert wake is not None
    assert wake.sentence == (
        "by 10.1.2.3:40112: accepted, scaled after 0.02 s, pod listening after 0.71 s, "
        "first byte after 0.75 s"
    )


def test_stages_that_were_not_reached_are_not_told() -> None:
    """Another activator scaled it, and the client left."""
    wake = Wake("[fd00::5]:40112", 1.0, {"accept": 0.0, "listening": 1.0})
    assert wake.sentence == "by [fd00::5]:40112: accepted, pod listening after 1.00 s"


@pytest.mark.parametrize(
    "document",
    [
        {"held": 1, "spliced": 0, "wake": None},
        {"held": 1},
        {"wake": {"client": "a", "stages": {}}},
        {"wake": {"client": "a", "at": "noon", "stages": {}}},
        {"wake": {"client": "a", "at": 1.0, "stages": [0.1]}},
        {"wake": {"client": "a", "at": 1.0, "stages": {"patch": None}}},
        [],
        None,
        "no such proxy",
    ],
)
def test_what_tells_of_no_wake(document: Any) -> None:
    assert parse_wake(document) is None
