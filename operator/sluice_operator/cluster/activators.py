"""The activators' pods: who stands in for proxies that have none."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from sluice_operator import names
from sluice_operator.cluster.client import Client, Manifest
from sluice_operator.cluster.following import What, follow
from sluice_operator.decide.observed import is_finished, pod
from sluice_operator.decide.pause import FORSAKEN_SECONDS, Wakers
from sluice_operator.desired.inputs import Activator

log = logging.getLogger(__name__)


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
        self._what = What("Pod", namespace, names.ACTIVATOR_LABELS)
        self._installed = installed
        self._clock = clock
        self._pods: dict[str, Activator] = {}
        self._known = asyncio.Event()
        self._lost: float | None = clock()
        self.on_change: Callable[[], None] = lambda: None

    def listed(self) -> tuple[Activator, ...]:
        """Those that belong into slices, by address.

        One that ends stays in them without being sent anybody, for it still carries clients;
        where only such are left, they take new ones as well.
        """
        found = self._by_address()
        return found if self.ready() else tuple(replace(item, serving=True) for item in found)

    def ready(self) -> tuple[Activator, ...]:
        """Those that take clients and do not end, by address."""
        return tuple(item for item in self._by_address() if item.serving)

    def _by_address(self) -> tuple[Activator, ...]:
        return tuple(sorted(self._pods.values(), key=lambda item: item.ip))

    def wakers(self) -> Wakers:
        gone = 0.0 if self._lost is None else self._clock() - self._lost
        return Wakers(self._installed, len(self.ready()), gone)

    async def known(self) -> None:
        """Returns once the first list is there: before it nobody can tell who is missing."""
        if self._installed:
            await self._known.wait()

    async def run(self) -> None:
        """Until it is cancelled."""
        if not self._installed:
            await asyncio.Event().wait()
        self._look_later()
        await follow(self._client, self._what, self)

    def on_list(self, manifests: Sequence[Manifest]) -> None:
        before, self._pods = self._pods, {}
        for item in manifests:
            self._see(item)
        self._tell(before)
        self._known.set()

    def on_event(self, manifest: Manifest, *, deleted: bool) -> None:
        before = dict(self._pods)
        if deleted:
            self._pods.pop(manifest["metadata"]["name"], None)
        else:
            self._see(manifest)
        self._tell(before)

    def _see(self, manifest: Manifest) -> None:
        seen = pod(manifest)
        self._pods.pop(seen.name, None)
        if seen.ip and (seen.serving or seen.terminating) and not is_finished(manifest):
            node = manifest.get("spec", {}).get("nodeName") or ""
            self._pods[seen.name] = Activator(seen.ip, node, serving=seen.serving)

    def _look_later(self) -> None:
        """Whoever sleeps when there has been none for long is woken by us: clients cannot."""
        asyncio.get_running_loop().call_later(FORSAKEN_SECONDS + 1, self._look_if_forsaken)

    def _look_if_forsaken(self) -> None:
        if self.wakers().forsake:
            self.on_change()

    def _tell(self, before: dict[str, Activator]) -> None:
        if self.ready():
            self._lost = None
        elif self._lost is None:
            self._lost = self._clock()
            self._look_later()
        if before != self._pods:
            log.info("activators: %s", ", ".join(item.ip for item in self.ready()) or "none")
            self.on_change()
