"""The wake of one proxy: looks at its scale while clients wait, and raises it from zero."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sluice_activator import decide
from sluice_activator.kubernetes.http import ApiError
from sluice_activator.kubernetes.scales import Scales
from sluice_activator.metrics import Metrics
from sluice_activator.slices import Key

log = logging.getLogger(__name__)

STAGES: Final = ("accept", "patch", "listening", "splice", "first_byte")
"""The first client said who it is; the scale is raised; a pod takes connections; it has proved
itself and got the client's bytes; its first byte went to the client."""

# How often a look is repeated at once because somebody else changed the scale meanwhile.
_CONFLICTS: Final = 3


@dataclass(slots=True)
class Wake:
    """One wake: for which client, when that was accepted (epoch seconds), seconds by stage."""

    client: str
    at: float
    began: float
    stages: dict[str, float] = field(default_factory=dict)
    failed: bool = False
    over: bool = False

    def document(self) -> dict[str, Any]:
        """As /wakes shows it."""
        stages = {name: round(seconds, 6) for name, seconds in self.stages.items()}
        return {"client": self.client, "at": round(self.at, 6), "stages": stages}


class Waker:
    """Wakes `proxy`, and remembers its last wake. `api_error` is why the last look failed."""

    def __init__(self, proxy: Key, scales: Scales, metrics: Metrics, now: Callable[[], float]):
        self._proxy = proxy
        self._scales = scales
        self._metrics = metrics
        self._now = now
        self.wake: Wake | None = None
        self.api_error = ""
        self._first = ("", 0.0, 0.0)

    def first_client(self, peer: str, since: float) -> None:
        """For whom a wake is that may begin now; `since` is when it was accepted.

        One whose clients all went before a pod answered is over: others do not end it.
        """
        if self.wake is not None:
            self.wake.over = True
        self._first = (peer, since, self._now())

    def failed(self) -> None:
        """A client was sent away because no pod came up: told once for each wake."""
        if self.wake is None or not self.wake.failed:
            self._metrics.wake_failures.inc()
        if self.wake is not None:
            self.wake.failed = True

    async def look(self, replicas: Callable[[], int]) -> None:
        """Raises the scale if it is zero, to what `replicas` says then; 0 is not at all."""
        try:
            for _ in range(_CONFLICTS):
                scale = await self._scales.read(self._proxy)
                self.api_error = ""
                patch = decide.wake_patch(scale, replicas())
                if patch is None or await self._raise(patch):
                    return
        except ApiError as error:
            if not self.api_error:
                details = {"proxy": "/".join(self._proxy), "error": str(error)}
                log.warning("the scale cannot be asked", extra=details)
            self.api_error = str(error)

    async def _raise(self, patch: dict[str, Any]) -> bool:
        before, self.wake = self.wake, self._begin()
        if not await self._scales.patch(self._proxy, patch):
            # Somebody else wakes it, or did something that has to be looked at.
            self.wake = before
            return False
        self._metrics.wakes.inc()
        self.reached("patch")
        log.info("waking", extra={"proxy": "/".join(self._proxy), "client": self.wake.client})
        return True

    def _begin(self) -> Wake:
        peer, since, known = self._first
        wake = Wake(peer, time.time() - (self._now() - since), since)
        self._stage(wake, "accept", known)
        return wake

    def reached(self, stage: str, at: float | None = None) -> None:
        """The wake under way, if there is one, has come to `stage` for the first time."""
        wake = self.wake
        if wake is not None and not wake.over and stage not in wake.stages:
            self._stage(wake, stage, self._now() if at is None else at)
            if stage == "first_byte":
                wake.over = True
                log.info("woken", extra={"proxy": "/".join(self._proxy), **wake.document()})

    def _stage(self, wake: Wake, stage: str, at: float) -> None:
        wake.stages[stage] = at - wake.began
        self._metrics.wake_seconds.labels(stage).observe(at - wake.began)
