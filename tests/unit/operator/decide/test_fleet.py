"""How many pods a Deployment may have, by what room there is in the budget."""

from typing import Any

import pytest

from sluice_operator.api.manifest import parse
from sluice_operator.decide.fleet import replicas
from sluice_operator.decide.observed import Observed
from sluice_testing.specs import manifest

SPEC = parse(manifest({"spec.replicas": 4})).spec


@pytest.mark.parametrize(
    ("present", "fits", "allowed"),
    [
        (2, True, 4),
        (2, False, 2),
        # Fewer need no room.
        (6, False, 4),
        # There is none yet, and by the first document each has a part.
        (None, False, 4),
        # One that sleeps has the room of all that may be woken.
        (0, False, 4),
    ],
)
def test_more_pods_come_when_there_is_room_for_all(
    present: int | None, allowed: int, *, fits: bool
) -> None:
    live: dict[Any, Any] = {("Deployment", "orders-proxy"): {"spec": {"replicas": present}}}
    observed = Observed({}, {}, {} if present is None else live, ())
    assert replicas(SPEC, observed, "orders", fits=fits) == allowed
