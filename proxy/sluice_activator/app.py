"""Composition: the watches, the ports, hello, HTTP, and how an activator ends."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from sluice_activator import admin, hello
from sluice_activator.holding import Means
from sluice_activator.house import House
from sluice_activator.kubernetes.account import Account
from sluice_activator.kubernetes.http import Http
from sluice_activator.kubernetes.scales import Scales
from sluice_activator.kubernetes.watch import Told, Watch
from sluice_activator.metrics import Metrics
from sluice_activator.slices import Key
from sluice_proxy.config import ACTIVATOR_PORT, ADMIN_PORT, HELLO_PORT

log = logging.getLogger(__name__)

LINGER: Final = 15.0
"""Seconds without a new client after which an activator that ends may go."""

# Seconds between two looks at whether an activator that ends may go.
_TICK: Final = 0.1


@dataclass(frozen=True, slots=True)
class Settings:
    """Whom to ask, and where to listen: an empty host is every address.

    `namespaces` are the only ones to be watched, if there are any. `pod_port` is where pods take
    activators. `linger` is LINGER, but for tests. `own` is this pod's address, as slices have it;
    empty if it is not known.
    """

    account: Account
    namespaces: tuple[str, ...] = ()
    host: str = ""
    admin_port: int = ADMIN_PORT
    hello_port: int = HELLO_PORT
    pod_port: int = ACTIVATOR_PORT
    linger: float = LINGER
    own: str = ""


class App:
    """One activator. `run` returns when it was asked to end, and nobody needs it any more."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._scopes = settings.namespaces or ("",)
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()
        self._draining = False
        self.metrics = Metrics()
        self._loop = asyncio.get_running_loop()
        self._http = Http(settings.account, self._count)
        self._means = Means(self._loop, Scales(self._http), self.metrics, settings.pod_port)
        self._house = House(self._means, settings.host, self._scopes, settings.own)

    @property
    def unready(self) -> str:
        return "draining" if self._draining else self._house.unready

    @property
    def knocking(self) -> int:
        """Connections that have not said who they are."""
        return self._house.doors.knocking

    @property
    def ports(self) -> Collection[int]:
        """The ports of proxies that are listened on."""
        return self._house.doors.open

    def wake(self, proxy: Key) -> dict[str, object] | None:
        return self._house.wake(proxy)

    def stop(self) -> None:
        """As SIGTERM asks: serves until nobody is left. The second time: as `stop_now`."""
        if self._stopping.is_set():
            self._hurried.set()
        self._stopping.set()

    def stop_now(self) -> None:
        """As SIGINT asks: whoever is here is cut off."""
        self._hurried.set()
        self._stopping.set()

    async def run(self) -> None:
        """Serves until `stop`. Raises OSError if a port of its own cannot be had."""
        async with self._ports():
            watches = [self._watch(scope) for scope in self._scopes]
            try:
                async with self._watching(watches):
                    await self._stopping.wait()
                for watch in watches:
                    watch.short = True
                async with self._watching(watches):
                    await self._drain()
            finally:
                self._house.stop()
                self._http.close()
                # What was cancelled ends in the next turn of the loop.
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def _watching(self, watches: Iterable[Watch]) -> AsyncIterator[None]:
        tasks = [self._loop.create_task(watch.run()) for watch in watches]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _ports(self) -> AsyncIterator[None]:
        settings = self._settings
        server = await admin.serve(settings.host, settings.admin_port, self)
        try:
            heard = await hello.listen(settings.host, settings.hello_port, self._house.on_hello)
            try:
                yield
            finally:
                heard.close()
        finally:
            server.close()
            await server.wait_closed()

    def _watch(self, scope: str) -> Watch:
        house = self._house
        told = Told(house.on_list, house.on_listed, house.on_event, house.on_unseen)
        return Watch(self._http, scope, told)

    def _count(self, verb: str, status: str) -> None:
        self.metrics.api_requests.labels(verb, status).inc()

    async def _drain(self) -> None:
        """Goes on as ever until the last client has left and none came for a while.

        Dataplanes send clients here for as long as slices name this activator, and a little
        longer: the operator that writes them may be late. The end, if it takes too long, is the
        kubelet's.
        """
        self._draining = True
        tally, named_at = self._means.tally, self._loop.time()
        log.info("draining", extra={"held": tally.held, "spliced": tally.spliced})
        while not self._hurried.is_set():
            if self._house.named:
                named_at = self._loop.time()
            quiet = self._loop.time() - max(named_at, self._house.doors.came_at)
            if quiet >= self._settings.linger and not (tally.held or tally.spliced):
                break
            await asyncio.sleep(_TICK)


async def serve(settings: Settings) -> None:
    """Runs an App until SIGTERM has drained it, or SIGINT, which is in a hurry."""
    app = App(settings)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, app.stop)
    loop.add_signal_handler(signal.SIGINT, app.stop_now)
    await app.run()
