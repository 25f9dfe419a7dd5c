"""A client at a pod that has proved itself, until the pod's first byte.

Up to that byte nothing is lost if the pod goes: all that was taken from the client is kept.
A first message that is longer than what may be kept goes on to the pod that has the rest of it,
and to no other. From the pod's first byte on, `splice` has both.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from sluice_activator.first_bytes import KEPT_MAX
from sluice_activator.sockets import close

_READ: Final = 1 << 16


class Client:
    """A connection that is held: its socket, who it is, and what it has said.

    `since` is when it was accepted, `held_since` when it was known to be a client, `serial` its
    place in the order of arrival. `dials` are under way for it; `tries` pods have hung up on
    it, and before `not_before` it goes to no other; to none at all once it is `committed`: more
    was taken of it than is kept. All times are the event loop's.
    """

    __slots__ = (
        "address", "committed", "dials", "held_since", "kept", "not_before", "serial", "since",
        "sock", "startup", "tries",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, address: tuple[str, int], since: float):
        self.sock = sock
        self.address = address
        self.since = since
        self.held_since = since
        self.kept = b""
        self.startup = False
        self.serial = 0
        self.tries = 0
        self.not_before = 0.0
        self.dials = 0
        self.committed = False

    @property
    def peer(self) -> str:
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def take(self) -> bytes | None:
        """What it says now: b"" if nothing (or nothing more is kept), None if it has left."""
        room = KEPT_MAX - len(self.kept)
        data = self._hear(room) if room else b""
        self.kept += data or b""
        return data

    def take_more(self) -> bytes | None:
        """As `take`, of what is not kept."""
        data = self._hear(_READ)
        self.committed |= bool(data)
        return data

    def _hear(self, most: int) -> bytes | None:
        try:
            return self.sock.recv(most) or None
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError:
            return None

    @property
    def full(self) -> bool:
        return len(self.kept) >= KEPT_MAX


class Trial:
    """Brings what a client said to a pod, and waits for the first byte of the answer.

    `on_answer(trial, first)` gets that, `on_silent_end(trial)` is called when the pod hung up
    instead, `on_left(trial)` when the client did. None of them closes the client's socket
    before, and nothing watches either socket when they are called.
    """

    __slots__ = ("_loop", "_on_answer", "_on_left", "_on_silent_end", "client", "pod", "unsent")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: Client,
        pod: socket.socket,
        on_answer: Callable[["Trial", bytes], None],
        on_silent_end: Callable[["Trial"], None],
        on_left: Callable[["Trial"], None],
    ):
        self._loop = loop
        self.client = client
        self.pod = pod
        self._on_answer = on_answer
        self._on_silent_end = on_silent_end
        self._on_left = on_left
        self.unsent = client.kept

    def start(self) -> None:
        self._loop.add_reader(self.pod.fileno(), self._on_pod)
        self._send()

    def stop(self) -> None:
        """Nothing is watched any more; both sockets stay open."""
        for sock in (self.pod, self.client.sock):
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())

    def abandon(self) -> None:
        """The pod's side is closed; the client keeps all that it said."""
        self.stop()
        close(self._loop, self.pod)

    def _send(self) -> None:
        try:
            sent = self.pod.send(self.unsent)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._hung_up()
            return
        self.unsent = self.unsent[sent:]
        if self.unsent:
            self._loop.add_writer(self.pod.fileno(), self._send)
        else:
            self._loop.remove_writer(self.pod.fileno())
        self._listen()

    def _listen(self) -> None:
        """To the client: for more than is kept only when the pod has taken what there is."""
        if self.unsent and self.client.full:
            self._loop.remove_reader(self.client.sock.fileno())
        else:
            self._loop.add_reader(self.client.sock.fileno(), self._on_client)

    def _on_client(self) -> None:
        said = self.client.take_more() if self.client.full else self.client.take()
        if said is None:
            self.abandon()
            self._on_left(self)
        elif said:
            self.unsent += said
            self._send()

    def _on_pod(self) -> None:
        try:
            first = self.pod.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            first = b""
        if first:
            self.stop()
            self._on_answer(self, first)
        else:
            self._hung_up()

    def _hung_up(self) -> None:
        self.abandon()
        self._on_silent_end(self)
