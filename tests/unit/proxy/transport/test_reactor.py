"""The reactor and its streams, on real sockets."""

import asyncio
import contextlib
import fcntl
import gc
import os
import socket
import ssl
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice_proxy.session.peer import UncompiledOwner
from sluice_proxy.transport.loop import ReactorLoop
from sluice_proxy.transport.stream import HIGH_WATER, Stream
from sluice_testing.certificates import Authority


class Recorder(UncompiledOwner):
    """An owner that keeps what it is told, and can be told to fail."""

    def __init__(self) -> None:
        self.data = b""
        self.told: list[str] = []
        self.fails = False

    def on_bytes(self, data: bytes) -> None:
        if self.fails:
            raise RuntimeError("broken")
        self.data += data

    def on_closed(self) -> None:
        self.told.append("closed")

    def on_hangup(self) -> None:
        self.told.append("hangup")

    def on_blocked(self) -> None:
        self.told.append("blocked")

    def on_drained(self) -> None:
        self.told.append("drained")

    def on_broken(self) -> None:
        self.told.append("broken")

    def on_secured(self, error: str) -> None:
        self.told.append(f"secured: {error}")


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    made: list[socket.socket] = []
    yield made
    for sock in made:
        sock.close()


class Bench:
    """The reactor of the running loop, and streams to the ends that the test holds."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ReactorLoop)
        self.reactor = loop.reactor
        self.sockets = sockets

    def stream(self) -> tuple[Stream, Recorder, socket.socket]:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        self.sockets += (near, far)
        owner = Recorder()
        stream = Stream(self.reactor, near, "peer", owner)
        stream.start()
        return stream, owner, far

    async def turns(self, count: int = 20) -> None:
        for _ in range(count):
            await asyncio.sleep(0)


@pytest.fixture
async def bench(sockets: list[socket.socket]) -> Bench:
    return Bench(sockets)


def received(far: socket.socket) -> bytes:
    data = b""
    while True:
        try:
            piece = far.recv(1 << 20)
        except BlockingIOError:
            return data
        if not piece:
            return data
        data += piece


async def test_bytes_both_ways(bench: Bench) -> None:
    stream, owner, far = bench.stream()
    far.send(b"there")
    stream.write(b"here")
    await bench.turns()
    assert owner.data == b"there"
    assert received(far) == b"here"
    assert stream.received == 5


async def test_looks_are_apart_and_the_second_finds_what_came_meanwhile(bench: Bench) -> None:
    """Of three that speak one after the other, the last two are heard in one turn."""
    heard: list[int] = []
    turns: list[float] = []

    class Listener(Recorder):
        def on_bytes(self, data: bytes) -> None:
            heard.append(len(heard))
            turns.append(bench.reactor.clock.now)
            bench.reactor.coalescing.interval = 0.5
            if len(heard) == 1:
                ends[1][2].send(b"x")
                threading.Timer(0.01, ends[2][2].send, [b"x"]).start()

    ends = [bench.stream() for _ in range(3)]
    for stream, _, _ in ends:
        stream.owner = Listener()
    ends[0][2].send(b"x")
    while len(heard) < 3:
        await asyncio.sleep(1.0)
    assert turns[0] < turns[1] == turns[2]


async def test_who_only_looks_does_not_rest(bench: Bench) -> None:
    """The event loop has callbacks that wait: none of them for an interval."""
    _, owner, far = bench.stream()
    far.send(b"x")
    bench.reactor.coalescing.interval = 3600.0
    assert bench.reactor.wait(0.0) == []
    assert owner.data == b"x"


async def test_one_that_fails_takes_nobody_with_it(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """All become readable in one turn: an edge that is lost is never told again."""
    ends = [bench.stream() for _ in range(9)]
    await bench.turns()
    ends[4][1].fails = True
    for _, _, far in ends:
        far.send(b"x")
    await bench.turns()
    for number, (stream, owner, _) in enumerate(ends):
        if number == 4:
            assert owner.told == ["broken", "closed"]
            assert stream.closed
        else:
            assert owner.data == b"x"
    assert "could not be dealt with" in caplog.text


async def test_one_that_fails_in_its_second_turn_takes_nobody_with_it(bench: Bench) -> None:
    ends = [bench.stream() for _ in range(3)]
    for stream, _, far in ends:
        stream.pause()
        far.send(b"x")
    await bench.turns()
    ends[0][1].fails = True
    for stream, _, _ in ends:
        stream.resume()
    await bench.turns()
    assert [owner.data for _, owner, _ in ends] == [b"", b"x", b"x"]


async def test_one_whose_end_fails_too_takes_nobody_with_it(bench: Bench) -> None:
    class Hopeless(Recorder):
        def on_broken(self) -> None:
            raise RuntimeError("hopeless")

        def on_closed(self) -> None:
            raise RuntimeError("hopeless")

    first, second = bench.stream(), bench.stream()
    hopeless = Hopeless()
    hopeless.fails = True
    first[0].owner = hopeless
    for _, _, far in (first, second):
        far.send(b"x")
    await bench.turns()
    assert first[0].closed
    assert second[1].data == b"x"


async def test_a_pause_holds_back_and_loses_nothing(bench: Bench) -> None:
    stream, owner, far = bench.stream()
    stream.pause()
    far.send(b"x" * 50000)
    await bench.turns()
    assert owner.data == b""
    stream.resume()
    await bench.turns()
    assert len(owner.data) == 50000


async def test_a_hangup_is_told_while_paused_and_the_bytes_after_it(bench: Bench) -> None:
    stream, owner, far = bench.stream()
    stream.pause()
    far.send(b"last words")
    far.close()
    await bench.turns()
    assert owner.told == ["hangup"]
    stream.resume()
    await bench.turns()
    assert owner.data == b"last words"
    assert owner.told == ["hangup", "closed"]


async def test_who_takes_no_more_is_told_about_and_gets_all_in_the_end(bench: Bench) -> None:
    stream, owner, far = bench.stream()
    data = bytes(range(256)) * 8192
    for at in range(0, len(data), 65536):
        stream.write(data[at : at + 65536])
    assert owner.told == ["blocked"]
    assert stream.buffered > HIGH_WATER
    got = b""
    for _ in range(200):
        got += received(far)
        await bench.turns(3)
    assert got == data
    assert owner.told == ["blocked", "drained"]


async def test_close_sends_what_is_left_and_waits_for_the_other_side(bench: Bench) -> None:
    stream, owner, far = bench.stream()
    stream.write(b"x" * (1 << 20))
    stream.close()
    stream.close()
    far.send(b"not read any more")
    got = 0
    for _ in range(200):
        got += len(received(far))
        await bench.turns(3)
    assert got == 1 << 20
    assert owner.told == ["blocked", "drained"]
    far.close()
    await bench.turns()
    assert owner.told[-1] == "closed"
    assert owner.data == b""


async def test_close_ends_at_last_when_the_other_side_does_not(bench: Bench) -> None:
    stream, owner, _ = bench.stream()
    stream.linger = 0.01
    stream.close()
    await asyncio.sleep(0.1)
    assert owner.told == ["closed"]


async def test_abort_is_the_end_and_there_is_one(bench: Bench) -> None:
    stream, owner, far = bench.stream()
    stream.abort()
    stream.abort()
    stream.close()
    stream.write(b"x")
    far.close()
    await bench.turns()
    assert owner.told == ["closed"]


async def test_a_write_to_who_is_gone_ends_in_a_turn_of_its_own(bench: Bench) -> None:
    stream, owner, far = bench.stream()
    far.close()
    stream.write(b"x")
    assert owner.told == [], "whoever writes is not called back"
    await bench.turns()
    assert owner.told == ["closed"]


async def test_a_closed_stream_lets_go_of_its_owner(bench: Bench) -> None:
    stream, owner, _ = bench.stream()
    trace = weakref.ref(owner)
    gc.disable()
    try:
        stream.abort()
        del owner
        assert trace() is None
    finally:
        gc.enable()


async def test_tls_with_who_is_gone_already(bench: Bench, sockets: list[socket.socket]) -> None:
    """The client asks for TLS and resets the connection at once, as scanners do."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    near, _ = listener.accept()
    sockets += (listener, client, near)
    near.setblocking(False)
    owner = Recorder()
    stream = Stream(bench.reactor, near, "peer", owner)
    stream.start()
    client.send(b"ask")
    await bench.turns()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.send(b"more")
    client.close()
    stream.start_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), owner)
    await bench.turns()
    assert owner.told[0].startswith("secured: ")
    assert owner.told[0] != "secured: "
    assert owner.told[1:] == ["closed"]
    assert stream.closed


async def test_a_descriptor_may_be_any_number(bench: Bench) -> None:
    stream, _, far = bench.stream()
    high = os.dup(far.fileno())
    with socket.socket(fileno=fcntl.fcntl(high, fcntl.F_DUPFD, 3000)) as near:
        os.close(high)
        other = Recorder()
        Stream(bench.reactor, near, "peer", other).start()
        stream.write(b"so high")
        await bench.turns()
        assert other.data == b"so high"
        bench.reactor.unregister(near.fileno())


async def test_tls_records_that_come_together_are_all_read(bench: Bench, tmp_path: Path) -> None:
    """One edge is told for both, and a read of OpenSSL's ends with the first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf, pem = Authority().issue("db"), tmp_path / "leaf.pem"
    pem.write_text(leaf.chain + leaf.private_key)
    context.load_cert_chain(pem)
    stream, owner, far = bench.stream()
    stream.start_tls(context, owner)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    client = trusting.wrap_bio(incoming, outgoing)
    while "secured: " not in owner.told:
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        far.send(outgoing.read())
        await bench.turns(3)
        incoming.write(received(far))
    client.write(b"one ")
    client.write(b"two")
    far.send(outgoing.read())
    await bench.turns()
    assert owner.data == b"one two"
    stream.abort()
