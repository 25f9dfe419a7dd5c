"""What a pod that listens tells the activators."""

import asyncio
import socket

import pytest

from sluice_proxy.transport import hello
from sluice_proxy.transport.hello import TIMES, say_hello


@pytest.fixture
def activator() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


async def heard(activator: socket.socket, host: str) -> list[bytes]:
    """Everything that is said to an activator at 127.0.0.1."""
    with activator:
        activator.bind(("127.0.0.1", 0))
        await say_hello("shop/orders", host, activator.getsockname()[1])
        activator.setblocking(False)
        said: list[bytes] = []
        while True:
            try:
                said.append(activator.recv(100))
            except BlockingIOError:
                return said


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hello, "TIMES", (0.0, 0.01, 0.02))


async def test_it_says_its_name_some_times(
    activator: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, times = 100.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        times.append(now - 100)
        # To look up and to send takes its time.
        now += 0.01

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    assert await heard(activator, "127.0.0.1") == [b"sluice shop/orders"] * 7
    assert times == pytest.approx(TIMES)


@pytest.mark.usefixtures("quickly")
async def test_each_address_hears_it(activator: socket.socket) -> None:
    """`localhost` has two, perhaps, and one of them has nobody."""
    assert await heard(activator, "localhost") == [b"sluice shop/orders"] * 3


@pytest.mark.usefixtures("quickly")
async def test_a_name_that_is_not_there_yet_is_asked_for_again(
    activator: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    found, asked = loop.getaddrinfo, 0

    async def late(host: str, port: int, **how: int) -> object:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise socket.gaierror("not yet")
        return await found("127.0.0.1", port, **how)

    monkeypatch.setattr(loop, "getaddrinfo", late)
    assert await heard(activator, "activators") == [b"sluice shop/orders"] * 2
    assert asked == 2


@pytest.mark.usefixtures("quickly")
async def test_whatever_fails_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> int:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket.socket, "sendto", unreachable)
    await say_hello("shop/orders", "127.0.0.1", 9)
