"""The activators' pods, watched: in the operator's own namespace, which kopf may not watch."""

import asyncio
import logging
import time
from collections.abc import Callable

from sluice_operator import names
from sluice_operator.cluster.client import Client, Manifest
from sluice_operator.cluster.errors import ApiError
from sluice_operator.decide.observed import pod
from sluice_operator.decide.pause import FORSAKEN_SECONDS, Wakers
from sluice_operator.desired.inputs import Activator

log = logging.getLogger(__name__)

WATCH_SECONDS = 290
RETRY_SECONDS = 2.0


class Activators:
    """Who can stand in for proxies now. `on_change` is called whenever that is somebody else."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        *,
        installed: bool,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._client = client
        self._namespace = namespace
        self._installed = installed
        self._clock = clock
        self._pods: dict[str, Activator] = {}
        self._known = asyncio.Event()
        self._lost: float | None = clock()
        self.on_change: Callable[[], None] = lambda: None

    def ready(self) -> tuple[Activator, ...]:
        """Those that take clients, by address."""
        return tuple(sorted(self._pods.values(), key=lambda item: item.ip))

    def wakers(self) -> Wakers:
        gone = 0.0 if self._lost is None else self._clock() - self._lost
        return Wakers(self._installed, len(self._pods), gone)

    async def known(self) -> None:
        """Returns once the first list is there: before it nobody can tell who is missing."""
        if self._installed:
            await self._known.wait()

    async def run(self) -> None:
        """Until it is cancelled. While the API server is away, what was known stays."""
        if not self._installed:
            return
        self._look_later()
        while True:
            try:
                await self._watch()
            except ApiError as error:
                log.warning("the activators cannot be watched: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _watch(self) -> None:
        labels = names.ACTIVATOR_LABELS
        found, version = await self._client.list_at("Pod", self._namespace, labels)
        before, self._pods = self._pods, {}
        for item in found:
            self._see(item)
        self._tell(before)
        self._known.set()
        events = self._client.watch("Pod", self._namespace, labels, version, WATCH_SECONDS)
        async for event in events:
            if event["type"] == "ERROR":
                return  # too old a version, mostly: all is listed anew
            before = dict(self._pods)
            if event["type"] == "DELETED":
                self._pods.pop(event["object"]["metadata"]["name"], None)
            else:
                self._see(event["object"])
            self._tell(before)

    def _see(self, manifest: Manifest) -> None:
        seen = pod(manifest)
        self._pods.pop(seen.name, None)
        if seen.serving and seen.ip:
            node = manifest.get("spec", {}).get("nodeName") or ""
            self._pods[seen.name] = Activator(seen.ip, node)

    def _look_later(self) -> None:
        """Whoever sleeps when there has been none for long is woken by us: clients cannot."""
        asyncio.get_running_loop().call_later(FORSAKEN_SECONDS + 1, self._look_if_forsaken)

    def _look_if_forsaken(self) -> None:
        if self.wakers().forsake:
            self.on_change()

    def _tell(self, before: dict[str, Activator]) -> None:
        if self._pods:
            self._lost = None
        elif self._lost is None:
            self._lost = self._clock()
            self._look_later()
        if before != self._pods:
            log.info("activators: %s", ", ".join(item.ip for item in self.ready()) or "none")
            self.on_change()
