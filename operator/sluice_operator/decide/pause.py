"""Whether a proxy may sleep, whether it does, and why not."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pause:
    """Where a proxy stands between awake and asleep.

    `enabled` is `spec.autoPause.enabled`, `wakeable` tells that there are activators to wake
    it. `asleep`: its Deployment shall have no pod now. `why_awake` is a sentence that says why
    it is not paused; empty while it is asleep. `idle_since` is when the last client left
    (seconds since the epoch), None while one is there or that is not known.
    """

    enabled: bool = False
    wakeable: bool = False
    asleep: bool = False
    why_awake: str = ""
    idle_since: float | None = None
