"""A budget that is too small: when it is said, and what would do."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_operator.api.manifest import parse
from sluice_operator.decide.scarcity import scarcity
from sluice_operator.decide.seen import Seen
from sluice_proxy.config import PoolSettings
from sluice_testing.seen import AVAILABLE, INPUTS, WELL, both, state
from sluice_testing.specs import manifest


def seen(percent: int, most: int | None, budget: int | None, replicas: int = 2) -> Seen:
    config = replace(INPUTS.config, pool=PoolSettings(max_connections_percent=percent))
    inputs = replace(INPUTS, config=config, spec=parse(manifest()).spec)
    target = replace(AVAILABLE, max_connections=most)
    return replace(WELL, inputs=inputs, replicas=replicas, states=both(target, fleet_budget=budget))


@pytest.mark.parametrize(
    ("given", "starves", "ways"),
    [
        ((4, 100, 4), False,
         "raise it to 5, or raise the server's max_connections to 125, or "
         "lower spec.replicas to 1"),
        ((1, 100, 1), True, "raise it to 5, or raise the server's max_connections to 500"),
        ((1, 50, 0), True, "raise it to 10, or raise the server's max_connections to 500"),
        ((4, 100, 4, 5), True,
         "raise it to 11, or raise the server's max_connections to 275, or "
         "lower spec.replicas to 1"),
        # Three are reserved for superusers: no percent would do.
        ((100, 7, 4), False,
         "raise the server's max_connections to 8, or lower spec.replicas to 1"),
        # The server has less than is needed, whatever the percent.
        ((50, 6, 3), False,
         "raise the server's max_connections to 10, or lower spec.replicas to 1"),
    ],
)  # fmt: skip
def test_what_would_do(given: Any, starves: bool, ways: str) -> None:
    found = scarcity(seen(*given))
    assert found is not None
    assert found.starves == starves
    assert found.sentence.endswith(f": {ways}")


def test_the_sentence_gives_the_figures() -> None:
    found = scarcity(seen(4, 100, 4))
    assert found is not None
    assert found.sentence.startswith(
        "spec.connectionPool.maxConnectionsPercent: 4 % of max_connections = 100 gives 4 server "
        "connections, and 2 pods need 5, for each its own and one more while it is replaced: "
    )


@pytest.mark.parametrize(
    "enough",
    [
        seen(5, 100, 5),
        seen(5, None, None),
        replace(seen(1, 100, 1), inputs=None),
        replace(seen(1, 100, 1), states={}),
    ],
)
def test_enough_or_not_known(enough: Seen) -> None:
    assert scarcity(enough) is None


def test_who_has_the_newest_percent_is_asked() -> None:
    """After it was raised, a pod that has not read it yet still tells the old budget."""
    states = {"a": state(fleet_budget=1, config_hash="old"), "b": state(fleet_budget=50)}
    assert scarcity(replace(WELL, states=states)) is None
    assert scarcity(replace(WELL, states={"a": states["a"]})) is not None


def test_a_pod_that_is_not_ready_for_want_of_a_share_is_asked_as_well() -> None:
    waits = replace(WELL.pods[0], ready=False)
    short = replace(WELL, pods=(waits,), states={"a": state(fleet_budget=1)})
    assert scarcity(short) is not None
