"""Writes Events: one object for what happens again and again."""

import logging
from collections.abc import Callable, Iterable

from sluice_operator import metrics
from sluice_operator.cluster.client import Client
from sluice_operator.cluster.errors import ApiError
from sluice_operator.decide.event_objects import About, RecentEvents, event_object, repeated
from sluice_operator.decide.events import Event

log = logging.getLogger(__name__)


class Recorder:
    """Events are news, not state: one that cannot be written is logged and lost."""

    def __init__(self, client: Client, clock: Callable[[], float]):
        self._client = client
        self._clock = clock
        self._recent = RecentEvents()

    async def record(self, about: About, events: Iterable[Event]) -> None:
        for event in events:
            try:
                await self._write(about, event)
            except ApiError as error:
                log.warning("Event %s of %s was not written: %s", event.reason, about.name, error)

    async def _write(self, about: About, event: Event) -> None:
        now = self._clock()
        name = self._recent.name(event, about, now)
        live = await self._client.get("Event", about.namespace, name)
        if live is None:
            await self._client.create(event_object(name, event, about, now))
        else:
            change = repeated(live, event, now)
            await self._client.merge("Event", about.namespace, name, change)
        metrics.WRITES.labels("Event").inc()
