"""When the process is to be restarted."""

from dataclasses import dataclass
from typing import Any

import pytest

from sluice_operator.__main__ import Parts, _is_alive


@dataclass
class Part:
    alive: bool
    is_leader: bool = False

    def is_alive(self) -> bool:
        return self.alive

    are_alive = is_alive


@pytest.mark.parametrize(
    ("leads", "lease", "queue", "watches", "alive"),
    [
        (True, True, True, True, True),
        (True, False, True, True, False),
        (True, True, False, True, False),
        (True, True, True, False, False),
        # A standby watches, but its queue does not turn yet.
        (False, True, False, True, True),
        (False, False, False, True, False),
        (False, True, False, False, False),
    ],
)
def test_all_that_is_at_work_has_to_go_on(
    leads: bool, lease: bool, queue: bool, watches: bool, alive: bool
) -> None:
    nothing: Any = None
    election: Any = Part(lease, is_leader=leads)
    working: Any = Part(queue)
    watching: Any = Part(watches)
    parts = Parts(nothing, nothing, working, nothing, watching, election, nothing, nothing)
    # It still waits for the API server.
    assert _is_alive(parts)
    parts.at_work.set()
    assert _is_alive(parts) is alive
