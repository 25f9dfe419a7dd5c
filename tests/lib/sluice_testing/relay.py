"""Somebody in between: who listens in, or who only decides where a connection goes."""

import contextlib
import itertools
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

from sluice_testing.certificates import Leaf
from sluice_testing.raw import SSL_REQUEST


@contextlib.contextmanager
def relay(host: str, port: int, leaf: Leaf) -> Iterator[tuple[str, int]]:
    """Ends TLS with a certificate of his own, and begins it anew behind; yields where.

    He asks nobody who they are, and changes no byte within TLS.
    """
    front = _front(leaf)
    with _listening(lambda accepted: _open_up(accepted, front, (host, port))) as address:
        yield address


@contextlib.contextmanager
def _listening(serve: Callable[[socket.socket], None]) -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted, _ = listener.accept()
                    _start(serve, accepted)

        _start(accept)
        yield listener.getsockname()
        # Closing alone does not wake a thread that accepts.
        listener.shutdown(socket.SHUT_RDWR)


def _open_up(accepted: socket.socket, front: ssl.SSLContext, behind: tuple[str, int]) -> None:
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        stack.enter_context(accepted)
        accepted.recv(len(SSL_REQUEST), socket.MSG_WAITALL)
        accepted.sendall(b"S")
        client = stack.enter_context(front.wrap_socket(accepted, server_side=True))
        onward = stack.enter_context(socket.create_connection(behind))
        onward.sendall(SSL_REQUEST)
        assert onward.recv(1) == b"S"
        server = stack.enter_context(_anybody().wrap_socket(onward))
        there = _start(_pump, client, server)
        _pump(server, client)
        there.join(10)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


def _front(leaf: Leaf) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["postgresql"])
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(leaf.private_key + leaf.chain)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _start(what: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=what, args=arguments, daemon=True)
    thread.start()
    return thread


@contextlib.contextmanager
def service(*pods: tuple[str, int]) -> Iterator[tuple[str, int]]:
    """What a Service does: each new connection goes to the next pod."""
    turn = itertools.cycle(pods)
    with _listening(lambda accepted: _pass_on(accepted, next(turn))) as address:
        yield address


def _pass_on(accepted: socket.socket, behind: tuple[str, int]) -> None:
    with contextlib.suppress(OSError), accepted, socket.create_connection(behind) as onward:
        there = _start(_pump, accepted, onward)
        _pump(onward, accepted)
        there.join(10)
