"""Two sockets made one: bytes both ways, as they come. Nothing is interpreted here.

A direction holds no buffer while nothing waits in it: all read into one that belongs to the
process, and only what the other side does not take at once is kept. Then nothing more is
read, so that a fast sender waits for a slow receiver.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from sluice_activator.sockets import close, finish_writing

_BUFFER: Final = bytearray(1 << 17)
_VIEW: Final = memoryview(_BUFFER)
# Seconds in which a client may still speak to a pod that has said all: the kernel's own
# (tcp_fin_timeout) for a socket whose process has gone.
_LINGER: Final = 60.0


class Splice:
    """Client and pod, from when the pod has answered until both directions have ended.

    `ahead` is what the pod has not taken yet of the client's, `answer` what it said first.
    `on_end` is called once, when both sockets are closed.
    """

    __slots__ = ("_back", "_loop", "_on_end", "_there")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: socket.socket,
        pod: socket.socket,
        on_end: Callable[["Splice"], None],
    ):
        self._loop = loop
        self._on_end = on_end
        self._there = Direction(self, loop, client, pod)
        self._back = Direction(self, loop, pod, client)

    def start(self, ahead: bytes = b"", answer: bytes = b"") -> None:
        self._there.start(ahead)
        self._back.start(answer)

    def on_finished(self) -> None:
        """One direction is over; the other may go on."""
        if self._there.finished and self._back.finished:
            self.end()
        elif self._back.finished:
            self._loop.call_later(_LINGER, self.end)

    def end(self) -> None:
        """Closes both, if that was not done yet."""
        if self._there.source.fileno() >= 0:
            close(self._loop, self._there.source)
            close(self._loop, self._back.source)
            self._on_end(self)


class Direction:
    """From `source` to `sink`."""

    __slots__ = ("_loop", "_pending", "_sink", "_splice", "finished", "source")

    def __init__(
        self,
        splice: Splice,
        loop: asyncio.AbstractEventLoop,
        source: socket.socket,
        sink: socket.socket,
    ):
        self._splice = splice
        self._loop = loop
        self.source = source
        self._sink = sink
        self._pending = b""
        self.finished = False

    def start(self, first: bytes) -> None:
        """`first` was read from the source already."""
        self._loop.add_reader(self.source.fileno(), self._on_readable)
        if first:
            self._pass_on(memoryview(first))

    def _on_readable(self) -> None:
        try:
            count = self.source.recv_into(_BUFFER)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._splice.end()
            return
        if count:
            self._pass_on(_VIEW[:count])
        else:
            self._finish()

    def _pass_on(self, data: memoryview) -> None:
        try:
            sent = self._sink.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._stop()
            return
        if sent < len(data):
            self._pending = bytes(data[sent:])
            self._loop.remove_reader(self.source.fileno())
            self._loop.add_writer(self._sink.fileno(), self._on_writable)

    def _on_writable(self) -> None:
        try:
            sent = self._sink.send(self._pending)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._stop()
            return
        self._pending = self._pending[sent:]
        if not self._pending:
            self._loop.remove_writer(self._sink.fileno())
            self._loop.add_reader(self.source.fileno(), self._on_readable)

    def _finish(self) -> None:
        """The source has said all; the sink is told so, and may still answer."""
        finish_writing(self._sink)
        self._stop()

    def _stop(self) -> None:
        """A sink that takes nothing more may have said why: the other direction ends by itself."""
        self._loop.remove_reader(self.source.fileno())
        self._loop.remove_writer(self._sink.fileno())
        self.finished = True
        self._splice.on_finished()
