"""What a leader does beside its queue: what no event of a DatabaseProxy would lead to."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sluice_operator import names
from sluice_operator.cluster.activators import Activators
from sluice_operator.cluster.client import Client
from sluice_operator.cluster.client_policies import ClientPolicies, withdraw_all
from sluice_operator.cluster.errors import ApiError
from sluice_operator.cluster.objects import ONLY, Objects
from sluice_operator.cluster.store import Store
from sluice_operator.decide.fallback import slice_made, slice_port
from sluice_operator.decide.pause import scale_of
from sluice_operator.decide.ports import Ports
from sluice_operator.decide.resolve import Installation
from sluice_operator.queue import WorkQueue

log = logging.getLogger(__name__)

ACTIVATORS_SECONDS = 5.0
"""So long a new leader waits to be told who the activators are."""

SWEEP_SECONDS = 12 * 3600.0
"""So often each DatabaseProxy is looked at though nothing happened, as those that sleep."""

SPREAD_SECONDS = 30.0
"""Within so long those that are awake are told of other activators; those that sleep at once."""

Queue = WorkQueue[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Rounds:
    """`namespaces` are those that are watched; empty for all."""

    client: Client
    objects: Objects
    store: Store
    queue: Queue
    ports: Ports
    activators: Activators
    installation: Installation
    namespaces: tuple[str, ...]

    async def run(self) -> None:
        """Until it is cancelled; the queue turns once what looks depend on is known."""
        await self._begin()
        others = [asyncio.create_task(work()) for work in (self._sweep, self._follow_policies)]
        try:
            await self.queue.run()
        finally:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    async def _begin(self) -> None:
        with contextlib.suppress(TimeoutError):
            # Without them a look only leaves in place who stood in before.
            async with asyncio.timeout(ACTIVATORS_SECONDS):
                await self.activators.known()
        await _tried("the ports of proxies cannot be listed", self._see_ports)

    async def _see_ports(self) -> None:
        """Before any is given out: who sleeps is met at its port, and nowhere else."""
        labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, **ONLY["EndpointSlice"]}
        for namespace in self.namespaces or ("",):
            for item in await self.client.list("EndpointSlice", namespace, labels):
                metadata = item["metadata"]
                proxy = (metadata.get("labels") or {}).get(names.LABEL_INSTANCE)
                if proxy:
                    key = (metadata["namespace"], proxy)
                    self.ports.see(key, slice_port(item), slice_made(item))

    async def _sweep(self) -> None:
        """One that sleeps has no timer of its own, but its certificates are to be renewed too."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            half = SWEEP_SECONDS / 2
            look_at_all(self.queue, self.store, half, asleep=half)

    async def _follow_policies(self) -> None:
        here = self.installation.namespace
        if self.installation.activator_policies:
            await ClientPolicies(self.store, self.queue.add).run(self.client, here)
        elif self.installation.activators:
            await _tried(
                "policies of before cannot be removed",
                lambda: withdraw_all(self.client, self.objects, here),
            )


async def _tried(what: str, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except ApiError as error:
        log.warning("%s: %s", what, error)


def look_at_all(queue: Queue, store: Store, awake: float, *, asleep: float) -> None:
    """Each DatabaseProxy once, spread over so many seconds."""
    for key in store.proxies():
        live = store.get(("Deployment", key[0], names.workload(key[1])))
        queue.add(key, random.uniform(0.0, asleep if scale_of(live) == 0 else awake))
