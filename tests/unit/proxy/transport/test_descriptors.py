"""Reads, writes and waits on real sockets; the same of the source and of its twin in C."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sluice_proxy.transport import descriptors
from sluice_testing.twins import source_of


@pytest.fixture(params=[source_of(descriptors), descriptors], ids=["source", "as imported"])
def module(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        yield near, far


Pair = tuple[socket.socket, socket.socket]


def test_a_read_gives_what_is_there(module: Any, pair: Pair) -> None:
    near, far = pair
    assert module.receive(near.fileno()) is None
    assert not module.has_more(near.fileno())
    far.sendall(b"some bytes")
    assert module.has_more(near.fileno())
    assert module.receive(near.fileno()) == b"some bytes"
    assert module.receive(near.fileno()) is None
    far.sendall(bytes(module.READ_SIZE) + b"more")
    assert module.receive(near.fileno()) == bytes(module.READ_SIZE)
    assert module.receive(near.fileno()) == b"more"
    far.close()
    assert module.receive(near.fileno()) == b""


def test_a_write_takes_what_there_is_room_for(module: Any, pair: Pair) -> None:
    near, far = pair
    assert module.send(near.fileno(), b"bytes") == 5
    assert module.send(near.fileno(), memoryview(b"a view")[2:]) == 4
    assert far.recv(100) == b"bytesview"
    taken = 0
    while count := module.send(near.fileno(), bytes(100_000)):
        taken += count
    assert taken > 0
    assert module.send(near.fileno(), b"x") == 0


def test_errors_are_told_as_such(module: Any, pair: Pair) -> None:
    near, far = pair
    far.close()
    with pytest.raises(BrokenPipeError):
        module.send(near.fileno(), b"nobody hears it")
    with pytest.raises(OSError, match="Bad file descriptor"):
        module.receive(1 << 20)
    with pytest.raises(OSError, match="Bad file descriptor"):
        module.has_more(1 << 20)
    with pytest.raises(OSError, match="Bad file descriptor"):
        module.send(1 << 20, b"x")
    with pytest.raises(TypeError):
        module.receive("text")
    with pytest.raises(TypeError):
        module.send(near.fileno(), "text")
    with pytest.raises(TypeError):
        module.send(near.fileno())


def test_a_reset_is_told_as_such(module: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        with near:
            near.setblocking(False)
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            far.close()
            with pytest.raises(ConnectionResetError):
                module.receive(near.fileno())


def wait(module: Any, epoll: select.epoll, seconds: float, rest: float = 0.0) -> list[int]:
    events = module.room()
    count = module.wait(epoll, epoll.fileno(), events, seconds, rest)
    return [module.event(events, number) for number in range(count)]


def test_events_are_numbers(module: Any, pair: Pair) -> None:
    near, far = pair
    with select.epoll() as epoll:
        epoll.register(near.fileno(), select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
        assert wait(module, epoll, 0.0) == []
        assert wait(module, epoll, 0.002) == []
        far.sendall(b"x")
        assert wait(module, epoll, -1.0) == [near.fileno() << module.SHIFT | select.EPOLLIN]
        far.close()
        [event] = wait(module, epoll, 60.0)
        assert event >> module.SHIFT == near.fileno()
        assert event & select.EPOLLRDHUP


def test_a_wait_is_never_too_short(module: Any) -> None:
    """Whoever waits for a timer would turn in vain until it is due."""
    with select.epoll() as epoll:
        before = time.monotonic()
        wait(module, epoll, 0.0104)
        assert time.monotonic() - before >= 0.0104


def test_a_rest_goes_before_the_look(module: Any, pair: Pair) -> None:
    """What comes meanwhile is found by the same look; without a rest there is nothing yet."""
    near, far = pair
    with select.epoll() as epoll:
        epoll.register(near.fileno(), select.EPOLLIN)
        later = threading.Timer(0.01, far.sendall, [b"x"])
        assert wait(module, epoll, 0.0) == []
        later.start()
        assert len(wait(module, epoll, 0.0, rest=0.5)) == 1
        later.join()


def test_who_cannot_be_waited_for_is_an_error(module: Any) -> None:
    epoll = select.epoll()
    descriptor = epoll.fileno()
    epoll.close()
    with pytest.raises((ValueError, OSError)):
        module.wait(epoll, descriptor, module.room(), 0.0, 0.0)


def test_events_of_a_crowd(module: Any) -> None:
    """More than are taken at once: the others come with the next wait."""
    pairs = [socket.socketpair() for _ in range(300)]
    with select.epoll() as epoll:
        for near, far in pairs:
            epoll.register(near.fileno(), select.EPOLLIN | select.EPOLLET)
            far.sendall(b"x")
        told = wait(module, epoll, 1.0)
        assert len(told) == 256
        told += wait(module, epoll, 1.0)
        assert {event >> module.SHIFT for event in told} == {near.fileno() for near, _ in pairs}
    for near, far in pairs:
        near.close()
        far.close()


def test_time_is_that_of_the_event_loop(module: Any) -> None:
    before = time.monotonic()
    assert before <= module.monotonic() <= time.monotonic()
