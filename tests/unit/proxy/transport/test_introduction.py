"""The activators' port, on real sockets: just the header is taken, and nobody else gets in."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from sluice_proxy.transport import introduction
from sluice_proxy.transport.introduction import Introduction
from sluice_proxy.transport.loop import ReactorLoop
from sluice_proxy.transport.reactor import UncompiledHandler
from sluice_proxy.wire.proxy_header import answer, header

UID, NONCE = "5a1c7a0e", bytes(range(16))
HEADER = header(("192.0.2.7", 40_001), ("10.1.2.3", 5433), UID, NONCE)
HELLO = b"\x16\x03\x01 what OpenSSL wants to read itself"


class Port:
    """One connection of an activator, and what became of it."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ReactorLoop)
        self.reactor = loop.reactor
        self.activator, self.here = socket.socketpair()
        self.here.setblocking(False)
        self.activator.settimeout(5)
        self.uid = UID
        self.clients: list[tuple[socket.socket, str]] = []
        self.ended: list[Introduction] = []
        made = Introduction(
            self.reactor, self.here, lambda: self.uid, self.greet, self.ended.append
        )
        made.start("10.9.9.9:1")

    def greet(self, sock: socket.socket, address: str) -> None:
        self.clients.append((sock, address))

    async def says(self, data: bytes) -> None:
        self.activator.sendall(data)
        await turn()

    @property
    def refused(self) -> bool:
        """Closed without a byte."""
        return self.here.fileno() < 0 and not self.clients and heard(self.activator) == b""

    def close(self) -> None:
        self.activator.close()
        self.here.close()


async def turn() -> None:
    """Long enough for the loop to hear of what came, and for the reactor to deal with it."""
    for _ in range(3):
        await asyncio.sleep(0)


def heard(sock: socket.socket) -> bytes:
    try:
        return sock.recv(100)
    except ConnectionResetError:
        return b""


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    port = Port()
    yield port
    port.close()


@pytest.mark.parametrize("cut", range(1, len(HEADER) + 1))
async def test_the_header_may_come_in_two_pieces(port: Port, cut: int) -> None:
    await port.says(HEADER[:cut])
    if cut < len(HEADER):
        assert not port.clients
    await port.says(HEADER[cut:] + HELLO)
    assert port.clients == [(port.here, "192.0.2.7:40001")]
    assert heard(port.activator) == answer(UID, NONCE)
    # Whatever follows is still to be read from the socket.
    assert port.here.recv(1000) == HELLO
    assert len(port.ended) == 1


async def test_the_connection_is_free_for_another_handler(port: Port) -> None:
    await port.says(HEADER)
    seen: list[int] = []

    class Next(UncompiledHandler):
        def on_events(self, mask: int) -> None:
            seen.append(mask)

        def on_failure(self) -> None: ...

    port.reactor.register(port.here.fileno(), Next())
    await port.says(b"first")
    assert seen


@pytest.mark.parametrize(
    "said",
    [
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        HELLO,
        b"GET / HTTP/1.1\r\n\r\n",
        HEADER[:-1] + b"\0",
        header(("192.0.2.7", 1), ("10.1.2.3", 1), "of another", NONCE),
    ],
)
async def test_nobody_else_gets_a_byte(port: Port, said: bytes) -> None:
    await port.says(said)
    assert port.refused
    assert len(port.ended) == 1


@pytest.mark.parametrize("said", [b"", HEADER[:5], HEADER[:-1]])
async def test_who_leaves_too_early_is_let_go(port: Port, said: bytes) -> None:
    await port.says(said)
    port.activator.shutdown(socket.SHUT_WR)
    await turn()
    assert port.refused


async def test_who_says_all_and_leaves_was_a_client(port: Port) -> None:
    port.activator.sendall(HEADER + HELLO)
    port.activator.shutdown(socket.SHUT_WR)
    await turn()
    assert len(port.clients) == 1


async def test_the_uid_is_the_one_of_the_moment(port: Port) -> None:
    await port.says(HEADER[:-1])
    port.uid = "another by now"
    await port.says(HEADER[-1:])
    assert port.refused


async def test_without_a_uid_nobody_comes_in(port: Port) -> None:
    port.uid = ""
    await port.says(header(("192.0.2.7", 1), ("10.1.2.3", 1), "", NONCE))
    assert port.refused


async def test_nobody_is_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introduction, "HEADER_TIMEOUT", 0.0)
    port = Port()
    await port.says(HEADER[:-1])
    await asyncio.sleep(0.01)
    assert port.refused
    port.close()


async def test_the_time_is_up_for_nobody_who_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introduction, "HEADER_TIMEOUT", 0.01)
    port = Port()
    await port.says(HEADER)
    await asyncio.sleep(0.05)
    assert port.here.fileno() >= 0
    assert len(port.ended) == 1
    port.close()
