"""Dials a pod, and makes it prove itself before a byte of a client is said."""

import asyncio
import contextlib
import hmac
import os
import socket
from collections.abc import Iterator

from sluice_activator.sockets import tune
from sluice_proxy.wire.proxy_header import ANSWER_LENGTH, NONCE_LENGTH, Address, answer, header


class Stranger(Exception):
    """Who answered there does not know the proxy's UID: another's pod, at a recycled address."""


async def connect(dialled: Address) -> socket.socket:
    """Raises OSError. The caller owns the socket."""
    family = socket.AF_INET6 if ":" in dialled[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with _closed_on_failure(sock):
        tune(sock)
        await asyncio.get_running_loop().sock_connect(sock, dialled)
    return sock


async def prove(sock: socket.socket, client: Address, dialled: Address, uid: str) -> None:
    """Says for whom this connection is, and waits until the pod has shown that it is meant.

    Raises Stranger, and OSError or EOFError from a pod that ends or is none.
    """
    loop = asyncio.get_running_loop()
    nonce = os.urandom(NONCE_LENGTH)
    await loop.sock_sendall(sock, header(client, dialled, uid, nonce))
    told = b""
    while len(told) < ANSWER_LENGTH:
        more = await loop.sock_recv(sock, ANSWER_LENGTH - len(told))
        if not more:
            raise EOFError
        told += more
    if not hmac.compare_digest(told, answer(uid, nonce)):
        raise Stranger


@contextlib.contextmanager
def _closed_on_failure(sock: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        sock.close()
        raise
