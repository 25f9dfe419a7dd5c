"""Who is dialled for the held clients of one proxy, and who has answered before."""

import asyncio
import logging
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import count, islice
from typing import Final

from sluice_activator import decide
from sluice_activator.reach import Stranger, connect, prove
from sluice_activator.slices import READY, Key, Pods
from sluice_activator.trial import Client

log = logging.getLogger(__name__)

# Anybody may send datagrams.
_HINTS_MAX: Final = 64


class Dialler:
    """Dials for clients; `on_pod(client, address, socket)` gets each pod that proved itself.

    `on_listening` is told since when such a pod listens, `on_news` when a dial has ended.
    """

    def __init__(
        self,
        proxy: Key,
        port: int,
        on_listening: Callable[[float], None],
        on_pod: Callable[[Client, str, socket.socket], None],
        on_news: Callable[[], None],
    ):
        self._proxy = proxy
        self._port = port
        self._on_listening = on_listening
        self._on_pod = on_pod
        self._on_news = on_news
        self._now = asyncio.get_running_loop().time
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._turn = count()
        self._proven: set[str] = set()
        self._strangers: set[str] = set()
        self._hints: dict[str, float] = {}
        self._dialled: dict[str, float] = {}
        self._proving: Counter[str] = Counter()
        self._news_at = 0.0
        self.pods: Pods = {}

    # News

    def on_pods(self, pods: Pods) -> None:
        """What the slices say now; who is new there, or stands otherwise, may be met again.

        Who is there no more is gone, whenever it said hello: a client that is sent to it waits
        for as long as a dial may take.
        """
        for address in self.pods.keys() - pods.keys():
            self.forget(address)
        changed = {address for address, _ in pods.items() ^ self.pods.items()}
        self._strangers -= changed
        self.pods = pods
        if changed:
            self._heard()

    def on_hello(self, address: str) -> None:
        """A pod says that it listens there: to be dialled at once."""
        self._drop_old_hints()
        self._hints.pop(address, None)
        if len(self._hints) >= _HINTS_MAX:
            # The oldest: who has just begun to listen spoke last.
            del self._hints[next(iter(self._hints))]
        self._hints[address] = self._now()
        self._strangers.discard(address)
        self._dialled.pop(address, None)
        self._heard()

    def _heard(self) -> None:
        self._news_at = self._now()
        self._on_news()

    def forget(self, address: str) -> None:
        """It did not answer, or not to the end: no longer one to be sure of."""
        self._proven.discard(address)
        self._hints.pop(address, None)

    # Whom

    def candidates(self, waited: float) -> list[str]:
        """Best first; `waited` is how long the first client has been held, in seconds."""
        self._drop_old_hints()
        return decide.candidates(self.pods, self._hints, self._strangers, waited)

    def for_cancel(self) -> list[str]:
        """Whom a CancelRequest is offered to, best first."""
        self._drop_old_hints()
        return decide.for_cancel(self.pods, self._hints, self._strangers)

    def _drop_old_hints(self) -> None:
        oldest = self._now() - decide.HINT_LIVES
        self._hints = {a: at for a, at in self._hints.items() if at >= oldest}

    @property
    def up(self) -> bool:
        return decide.pods_are_up(self.pods, self._hints)

    def sure(self, candidates: Iterable[str]) -> list[str]:
        """Those who have proved themselves."""
        return [address for address in candidates if address in self._proven]

    def _promising(self, address: str) -> bool:
        """Whether it says that it listens, or Kubernetes does."""
        return address in self._hints or self.pods.get(address) == READY

    @property
    def pause(self) -> float:
        """Seconds between two dials to the same address."""
        return decide.dial_pause(self._now() - self._news_at)

    # Dials

    def dial(self, clients: Iterable[Client], candidates: list[str], uid: str) -> None:
        """Begins all dials that are due: one for each client where pods have proved themselves.

        Else every candidate is tried for the first client, again and again.
        """
        sure = self.sure(candidates)
        due = sorted(filter(self._due, candidates), key=self._last_dial)
        if sure:
            fresh = [a for a in due if a not in sure and self._promising(a)]
            self._share(clients, sure, fresh, uid)
        else:
            for client in islice(clients, 1):
                self._begin_all(client, due, uid)

    def _share(
        self, clients: Iterable[Client], sure: list[str], fresh: list[str], uid: str
    ) -> None:
        """Among those who are sure; a fresh pod gets its share as soon as one client has found it.

        For one that only says hello no client waits: it is tried beside.
        """
        listed = deque(address for address in fresh if address in self.pods)
        unlisted = [address for address in fresh if address not in self.pods]
        for client in clients:
            if len(self._tasks) >= decide.DIALS_MAX:
                return
            if not client.dials:
                address = listed.popleft() if listed else sure[next(self._turn) % len(sure)]
                self._begin(client, address, uid)
                self._begin_all(client, unlisted, uid)
                unlisted = []

    def _begin_all(self, client: Client, addresses: Iterable[str], uid: str) -> None:
        """At most half of all dials go to who only says hello: anybody may do so."""
        room = decide.DIALS_MAX // 2 - sum(a not in self.pods for a in self._tasks.values())
        for address in addresses:
            listed = address in self.pods
            if len(self._tasks) < decide.DIALS_MAX and (listed or room > 0):
                room -= not listed
                self._begin(client, address, uid)

    def _last_dial(self, address: str) -> float:
        return self._dialled.get(address, float("-inf"))

    def _due(self, address: str) -> bool:
        # Timers come a little early or late. Who took the connection has a second to prove itself.
        since = self._now() - self._last_dial(address)
        return since >= self.pause * 0.9 and not self._proving[address]

    def _begin(self, client: Client, address: str, uid: str) -> None:
        self._dialled[address] = self._now()
        client.dials += 1
        task = asyncio.get_running_loop().create_task(self._dial(client, address, uid))
        self._tasks[task] = address
        task.add_done_callback(self._tasks.pop)

    async def _dial(self, client: Client, address: str, uid: str) -> None:
        try:
            pod = await self.reach(client, address, uid)
            if pod is not None:
                self._on_pod(client, address, pod)
        finally:
            client.dials -= 1
            self._on_news()

    async def reach(self, client: Client, address: str, uid: str) -> socket.socket | None:
        """A connection to a pod that has proved itself; None if there is none to be had."""
        dialled = (address, self._port)
        try:
            async with asyncio.timeout(decide.DIAL_TIMEOUT):
                pod = await connect(dialled)
                connected = self._now()
                await self._prove(pod, client, dialled, uid)
        except Stranger:
            self.forget(address)
            self._strangers.add(address)
            details = {"proxy": "/".join(self._proxy), "address": address}
            log.warning("another than the proxy's pod answers", extra=details)
            return None
        except (OSError, EOFError):
            self.forget(address)
            return None
        self._proven.add(address)
        self._on_listening(connected)
        return pod

    async def _prove(
        self, pod: socket.socket, client: Client, dialled: tuple[str, int], uid: str
    ) -> None:
        self._proving[dialled[0]] += 1
        try:
            await prove(pod, client.address, dialled, uid)
        except BaseException:
            pod.close()
            raise
        finally:
            self._proving[dialled[0]] -= 1

    def rest(self) -> None:
        """Nobody is held any more: what is known of addresses that went is forgotten."""
        known = self.pods.keys() | self._hints.keys()
        self._proven &= known
        self._strangers &= known
        self._dialled.clear()
        self._proving = +self._proving

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
