"""The HTTP port: threads beside the event loop, so that a loop that hangs is seen to hang."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from threading import Lock, Thread
from typing import Any, TypeVar

from sluice_proxy.admin.http import Answer, BadRequest, Request, parse_request, render, text
from sluice_proxy.admin.pages import LoopSilent, answer
from sluice_proxy.admin.views import Views

T = TypeVar("T")

# Seconds.
LOOP_ANSWERS_WITHIN = 1.0
REQUEST_WITHIN = 5.0
LINGER = 1.0
ACCEPT_RETRY = 0.1

# Probes, scrapers and operators are few; more are an accident or an attack.
MAX_CONNECTIONS = 32

log = logging.getLogger(__name__)


class AdminServer:
    """Serves `views` on host:port; port 0 takes a free one, `port` says which.

    `start` raises OSError when the port cannot be had. `stop`, for good, returns when every
    thread has ended and every socket is closed; both may be called from the loop's thread.
    """

    def __init__(self, host: str, port: int, loop: asyncio.AbstractEventLoop, views: Views) -> None:
        self._address = (host, port)
        self._loop = loop
        self._views = views
        self._listener: socket.socket | None = None
        self._acceptor: Thread | None = None
        self._lock = Lock()
        self._stopping = False
        self._connections: dict[socket.socket, Thread] = {}
        self._questions: set[Future[Any]] = set()

    @property
    def port(self) -> int:
        if self._listener is None:
            return self._address[1]
        port: int = self._listener.getsockname()[1]
        return port

    def start(self) -> None:
        host = self._address[0]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server(self._address, family=family, dualstack_ipv6=host == "::")
        self._listener = listener
        self._acceptor = Thread(target=self._accept, args=(listener,), name="admin", daemon=True)
        self._acceptor.start()

    def stop(self) -> None:
        if self._listener is None or self._acceptor is None:
            return
        with self._lock:
            self._stopping = True
            for question in self._questions:
                question.cancel()
            for connection in self._connections:
                _shut(connection)
            threads = [self._acceptor, *self._connections.values()]
        _shut(self._listener)
        for thread in threads:
            thread.join()
        self._listener.close()
        self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping:
            try:
                connection, _ = listener.accept()
            except OSError as error:
                if not self._stopping:
                    log.warning("admin port cannot accept", extra={"error": str(error)})
                    time.sleep(ACCEPT_RETRY)
                continue
            self._admit(connection)

    def _admit(self, connection: socket.socket) -> None:
        with self._lock:
            if self._stopping or len(self._connections) >= MAX_CONNECTIONS:
                connection.close()
                return
            thread = Thread(target=self._serve, args=(connection,), name="admin", daemon=True)
            self._connections[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # An OSError here: the peer went, or took too long.
        with suppress(OSError):
            reply = self._reply(connection)
            if reply is not None:
                connection.sendall(render(reply))
                _linger(connection)
        with self._lock:
            del self._connections[connection]
            connection.close()

    def _reply(self, connection: socket.socket) -> Answer | None:
        try:
            request = _receive(connection)
        except BadRequest as error:
            return text(error.status, str(error))
        try:
            return None if request is None else answer(request, self._views, self._ask)
        except Exception:
            log.exception("admin page failed")
            return text(500, "failed; the log says why")

    def _ask(self, question: Callable[[], T]) -> T:
        asked: Future[T] = Future()
        with self._lock:
            if self._stopping:
                raise LoopSilent
            self._questions.add(asked)
        try:
            self._call_soon(_run, asked, question)
            return asked.result(LOOP_ANSWERS_WITHIN)
        except (TimeoutError, CancelledError):
            asked.cancel()
            raise LoopSilent from None
        finally:
            with self._lock:
                self._questions.discard(asked)

    def _call_soon(self, callback: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:  # "Event loop is closed"
            raise LoopSilent from None


def _run(asked: Future[T], question: Callable[[], T]) -> None:
    if not asked.set_running_or_notify_cancel():
        return
    try:
        asked.set_result(question())
    except Exception as error:
        asked.set_exception(error)


def _receive(connection: socket.socket) -> Request | None:
    """The request; None when the peer closed before it was whole. Raises BadRequest."""
    data, deadline = b"", time.monotonic() + REQUEST_WITHIN
    while (request := parse_request(data)) is None:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        received = connection.recv(4096)
        if not received:
            return None
        data += received
    return request


def _linger(connection: socket.socket) -> None:
    # RFC 9112 9.6: closing while something is unread resets the connection, and the peer
    # may lose the answer; so say that this was all, and wait until the peer has closed.
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(LINGER)
    for _ in range(16):
        if not connection.recv(4096):
            return


def _shut(connection: socket.socket) -> None:
    # An OSError here: the peer was faster.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
