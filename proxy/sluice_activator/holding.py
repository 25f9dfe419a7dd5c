"""The held clients of one proxy, in order of arrival, and the one wake that they share.

A client is in one of three places: held, while no pod has it; on trial, while a pod that has
proved itself has not answered; spliced. While anybody is in the first two, one task dials and
one looks at the scale.
"""

import asyncio
import contextlib
import heapq
import logging
import socket
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count, takewhile
from typing import Any, Final

from sluice_activator import decide
from sluice_activator.dialling import Dialler
from sluice_activator.kubernetes.scales import Scales
from sluice_activator.metrics import Metrics
from sluice_activator.slices import Key, Pods, Registration
from sluice_activator.sockets import close, finish_writing
from sluice_activator.splice import Splice
from sluice_activator.trial import Client, Trial
from sluice_activator.waking import Waker
from sluice_proxy.errors import ErrorFields
from sluice_proxy.wire.messages import error_response

log = logging.getLogger(__name__)

# PostgreSQL's cannot_connect_now.
_SQLSTATE: Final = "57P03"
# Pods that a CancelRequest is offered to, and requests under way for one proxy.
_CANCEL_TRIES: Final = 3
_CANCELS_MAX: Final = 64


@dataclass(slots=True)
class Tally:
    """Clients of all rooms."""

    held: int = 0
    spliced: int = 0


@dataclass(frozen=True, slots=True)
class Means:
    """What every room works with; `port` is the one that pods take activators on."""

    loop: asyncio.AbstractEventLoop
    scales: Scales
    metrics: Metrics
    port: int
    tally: Tally = field(default_factory=Tally)


class Room:
    """Everybody who came to the port of `proxy`. `registration` is None once that is gone."""

    def __init__(self, proxy: Key, means: Means):
        self.proxy = proxy
        self.registration: Registration | None = None
        self._means = means
        self._loop = means.loop
        self._serials = count(1)
        self._held: dict[int, Client] = {}
        self._trials: dict[Trial, str] = {}
        self._spliced: set[Splice] = set()
        self._cancels: set[asyncio.Task[None]] = set()
        self._dialling: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._emptied = asyncio.Event()
        self._waker = Waker(proxy, means.scales, means.metrics, means.loop.time)
        self._dialler = Dialler(
            proxy, means.port, partial(self._waker.reached, "listening"), self._on_pod,
            self._news.set,
        )  # fmt: skip

    # What is known from outside

    @property
    def held(self) -> int:
        return len(self._held) + len(self._trials)

    @property
    def spliced(self) -> int:
        return len(self._spliced)

    @property
    def empty(self) -> bool:
        """Whether it may be forgotten."""
        return not (self._held or self._trials or self._spliced or self._cancels)

    def document(self) -> dict[str, Any]:
        """As /wakes shows it."""
        wake = self._waker.wake
        told = None if wake is None else wake.document()
        return {"held": self.held, "spliced": self.spliced, "wake": told}

    def see(self, registration: Registration | None, pods: Pods) -> None:
        """What the slices say now. Clients of a proxy that is gone are sent away."""
        self.registration = registration
        self._dialler.on_pods(pods)
        if registration is None:
            for client in list(self._by_age()):
                self._refuse(client, "deleted")

    def on_hello(self, address: str) -> None:
        self._dialler.on_hello(address)

    # Coming and going

    def take(self, client: Client) -> None:
        """Holds a client that has said who it is, until a pod takes it."""
        if self.registration is None:
            self._refuse(client, "deleted")
        elif self.held >= decide.HELD_MAX:
            self._refuse(client, "full")
        else:
            client.serial = next(self._serials)
            client.held_since = self._loop.time()
            if not self.held:
                self._waker.first_client(client.peer, client.since)
            self._means.tally.held += 1
            self._hold(client)

    def _hold(self, client: Client) -> None:
        self._held[client.serial] = client
        self._emptied.clear()
        self._dialling = self._at_work(self._dialling, self._keep_dialling)
        self._looking = self._at_work(self._looking, self._keep_looking)
        if not client.full:
            self._loop.add_reader(client.sock.fileno(), self._on_client, client)
        self._news.set()

    def _on_client(self, client: Client) -> None:
        if client.take() is None:
            self._release(client)
            self._part(client)
        elif client.full:
            self._loop.remove_reader(client.sock.fileno())

    def _release(self, client: Client) -> None:
        self._held.pop(client.serial, None)
        self._loop.remove_reader(client.sock.fileno())
        self._news.set()
        if not self._held:
            self._emptied.set()

    def _part(self, client: Client) -> None:
        """Of one that was held or on trial."""
        self._means.tally.held -= bool(client.serial)
        close(self._loop, client.sock)

    def _refuse(self, client: Client, reason: str) -> None:
        """Sends a client away: with a sentence where it understands one, else without a byte.

        To SSLRequest an `E` would be taken by old clients for a reason to go on in clear.
        """
        for trial in [trial for trial in self._trials if trial.client is client]:
            del self._trials[trial]
            trial.abandon()
        self._release(client)
        text = decide.sentence(self.proxy, self.registration, reason, self._waker.api_error)
        details = {"proxy": "/".join(self.proxy), "client": client.peer, "reason": reason}
        log.warning("client refused", extra={**details, "error": text})
        self._means.metrics.refused.labels(reason).inc()
        if client.startup:
            fields = ErrorFields("FATAL", _SQLSTATE, text, decide.advice(self.proxy))
            # An OSError here: the client was faster.
            with contextlib.suppress(OSError):
                client.sock.send(error_response(fields))
            finish_writing(client.sock)
        self._part(client)

    # The work while somebody waits

    def _at_work(
        self, task: asyncio.Task[None] | None, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> asyncio.Task[None]:
        """The task, begun anew if it has ended."""
        if task is not None and not task.done():
            return task
        return self._loop.create_task(work())

    async def _keep_dialling(self) -> None:
        while self._held or self._trials:
            self._news.clear()
            with _survived("dial"):
                self._expire()
                self._dial()
            await _within(self._pause(), self._news)
        self._dialler.rest()

    def _dial(self) -> None:
        if self._held and self.registration is not None:
            candidates = self._dialler.candidates(self._waited)
            self._dialler.dial(self._ready(), candidates, self.registration.uid)

    def _ready(self) -> Iterator[Client]:
        """Who may go to a pod now, in order of arrival."""
        now = self._loop.time()
        return (client for client in self._held.values() if client.not_before <= now)

    @property
    def _waited(self) -> float:
        """How long the first client has been held, in seconds."""
        first = next(iter(self._held.values()), None)
        return 0.0 if first is None else self._loop.time() - first.held_since

    def _pause(self) -> float:
        """Seconds until something has to be done though nothing is heard."""
        oldest = next(self._by_age(), None)
        until = 0.0 if oldest is None else oldest.held_since + decide.DEADLINE - self._loop.time()
        if self._held:
            until = min(until, decide.patience(self._waited))
        if self._held and self._dialler.candidates(self._waited):
            until = min(until, self._dialler.pause)
        return max(until, 0.001)

    def _by_age(self) -> Iterator[Client]:
        """Held and on trial, oldest first."""
        on_trial = (trial.client for trial in self._trials)
        return heapq.merge(self._held.values(), on_trial, key=lambda client: client.serial)

    def _expire(self) -> None:
        limit = self._loop.time() - decide.DEADLINE
        late = list(takewhile(lambda client: client.held_since <= limit, self._by_age()))
        if late:
            self._waker.failed()
        for client in late:
            self._refuse(client, "deadline")

    async def _keep_looking(self) -> None:
        """Looks at the scale while clients are held and no pod is sure to answer.

        Where only pods are that end, one look has to be, though they serve the client.
        """
        pause = decide.first_look(self._dialler.candidates(0.0), self._dialler.pods)
        looks = 0
        if not pause:
            await self._look()
            pause, looks = decide.look_pause(0), 1
        while self._held:
            await _within(pause, self._emptied)
            pause = decide.look_pause(looks)
            if self._held and not self._dialler.sure(self._dialler.candidates(0.0)):
                await self._look()
                looks += 1

    async def _look(self) -> None:
        with _survived("look"):
            await self._waker.look(self._wanted)

    def _wanted(self) -> int:
        """How many pods there are to be; 0 if nobody is there any more who wants one."""
        wanted = self._held or self._trials or self._spliced
        return self.registration.replicas if self.registration and wanted else 0

    # Pods

    def _on_pod(self, client: Client, address: str, pod: socket.socket) -> None:
        if client.serial not in self._held:
            # It has left, or another dial was faster.
            pod.close()
            return
        self._release(client)
        trial = Trial(self._loop, client, pod, self._on_answer, self._on_silent_end, self._on_left)
        self._trials[trial] = address
        self._waker.reached("splice")
        trial.start()

    def _on_answer(self, trial: Trial, first: bytes) -> None:
        del self._trials[trial]
        self._means.tally.held -= 1
        self._splice(trial.client.sock, trial.pod).start(trial.unsent, first)
        self._waker.reached("first_byte")
        self._news.set()

    def _splice(self, client: socket.socket, pod: socket.socket) -> Splice:
        splice = Splice(self._loop, client, pod, self._on_end)
        self._spliced.add(splice)
        self._means.tally.spliced += 1
        return splice

    def _on_end(self, splice: Splice) -> None:
        self._spliced.discard(splice)
        self._means.tally.spliced -= 1

    def _on_silent_end(self, trial: Trial) -> None:
        """No byte came back: the client may go to another pod, or to the same one again."""
        self._dialler.forget(self._trials.pop(trial))
        client = trial.client
        client.tries += 1
        if client.committed or client.tries >= decide.TRIES:
            self._refuse(client, "hung_up")
            return
        pause = decide.retry_pause(client.tries)
        client.not_before = self._loop.time() + pause
        self._loop.call_later(pause, self._news.set)
        self._hold(client)
        self._held = dict(sorted(self._held.items()))

    def _on_left(self, trial: Trial) -> None:
        del self._trials[trial]
        self._part(trial.client)
        self._news.set()

    # CancelRequests

    def cancel(self, client: Client) -> None:
        """Hands a CancelRequest to a pod if there is any; it wakes nobody, and nobody waits."""
        if self.registration is None or not self._dialler.up or len(self._cancels) >= _CANCELS_MAX:
            close(self._loop, client.sock)
            return
        task = self._loop.create_task(self._hand_on(client, self.registration.uid))
        self._cancels.add(task)
        task.add_done_callback(self._cancels.discard)

    async def _hand_on(self, client: Client, uid: str) -> None:
        self._loop.remove_reader(client.sock.fileno())
        with _closed_on_failure(self._loop, client.sock):
            pod = await self._any_pod(client, uid)
        if pod is None:
            close(self._loop, client.sock)
            return
        self._splice(client.sock, pod).start(client.kept)

    async def _any_pod(self, client: Client, uid: str) -> socket.socket | None:
        for address in self._dialler.for_cancel()[:_CANCEL_TRIES]:
            pod = await self._dialler.reach(client, address, uid)
            if pod is not None:
                return pod
        return None

    # The end

    def stop(self) -> None:
        """Cuts everybody off."""
        self._dialler.stop()
        for task in (self._dialling, self._looking, *self._cancels):
            if task is not None:
                task.cancel()
        for client in list(self._by_age()):
            self._refuse(client, "shutdown")
        for splice in list(self._spliced):
            splice.end()


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Waits for `event`, so long at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


@contextlib.contextmanager
def _survived(what: str) -> Iterator[None]:
    """One round: its failure is told, and the next one comes."""
    try:
        yield
    except Exception:
        log.exception("task failed", extra={"task": what})


@contextlib.contextmanager
def _closed_on_failure(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        close(loop, sock)
        raise
