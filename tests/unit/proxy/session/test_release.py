"""The rule that decides whether a server connection may go to the next client."""

from dataclasses import dataclass
from itertools import product

import pytest

from sluice_proxy.session.pinning import PinReason
from sluice_proxy.session.release import may_release


@dataclass
class Held:
    settled: bool
    status: int
    cancels: int
    pins: PinReason


ALL = list(product((True, False), b"ITE", (0, 1, 2), (PinReason.NONE, *PinReason)))


@pytest.mark.parametrize(("settled", "status", "cancels", "pins"), ALL)
def test_every_combination(settled: bool, status: int, cancels: int, pins: PinReason) -> None:
    clean = (True, ord("I"), 0, PinReason.NONE)
    assert may_release(Held(settled, status, cancels, pins)) is (
        (settled, status, cancels, pins) == clean
    )
