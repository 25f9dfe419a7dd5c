"""What an activator says of the last time that it woke a proxy: by whom, and how long it took."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_TOLD = (("patch", "scaled"), ("listening", "pod listening"), ("first_byte", "first byte"))
"""Stages that are told, in their order; the others lie between these."""


@dataclass(frozen=True, slots=True)
class Wake:
    """`client` is the address and port of the first client, `at` when it was accepted (seconds
    since the epoch, by the activator's clock), `stages` how many seconds later each stage was
    reached; one that was not is left out."""

    client: str
    at: float
    stages: Mapping[str, float] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """`by 10.1.2.3:40112: accepted, scaled after 0.02 s, …`: what an Event says."""
        told = [
            f"{what} after {self.stages[key]:.2f} s" for key, what in _TOLD if key in self.stages
        ]
        return f"by {self.client}: {', '.join(('accepted', *told))}"


def parse_wake(document: Any) -> Wake | None:
    """The wake in an activator's answer to `/wakes/<namespace>/<name>`; None if it tells of none.

    An answer that cannot be read counts as none: another activator may know more.
    """
    try:
        wake = document["wake"]
        return Wake(
            client=str(wake["client"]),
            at=float(wake["at"]),
            stages={str(stage): float(after) for stage, after in wake["stages"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
