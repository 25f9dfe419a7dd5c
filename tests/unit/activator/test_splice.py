"""Two sockets made one, and a client at a pod that has not answered yet."""

import asyncio
import contextlib
import random
import socket
from collections.abc import Iterator

import pytest

from sluice_activator import splice as splicing
from sluice_activator.first_bytes import KEPT_MAX
from sluice_activator.splice import Splice
from sluice_activator.trial import Client, Trial


class Ends:
    """The far ends of both sockets, and how often the splice has ended."""

    def __init__(self) -> None:
        self.client, self.near_client = socket.socketpair()
        self.near_pod, self.pod = socket.socketpair()
        for sock in (self.client, self.pod, self.near_client, self.near_pod):
            sock.setblocking(False)
        self.ended = 0

    def splice(self) -> Splice:
        return Splice(asyncio.get_running_loop(), self.near_client, self.near_pod, self.on_end)

    def on_end(self, splice: Splice) -> None:
        self.ended += 1

    async def hear(self, sock: socket.socket, size: int = 65536) -> bytes:
        async with asyncio.timeout(5):
            return await asyncio.get_running_loop().sock_recv(sock, size)


@pytest.fixture
def ends() -> Iterator[Ends]:
    one = Ends()
    yield one
    for sock in (one.client, one.pod, one.near_client, one.near_pod):
        sock.close()


async def test_what_was_read_before_goes_first(ends: Ends) -> None:
    ends.client.send(b"later")
    ends.splice().start(ahead=b"first ", answer=b"answer")
    assert await ends.hear(ends.pod, 6) == b"first "
    assert await ends.hear(ends.pod) == b"later"
    assert await ends.hear(ends.client) == b"answer"


async def test_the_last_words_of_a_pod_outlive_its_socket(ends: Ends) -> None:
    """57P01, say: what the client says then has nowhere to go, and costs it nothing."""
    ends.pod.send(b"last words")
    ends.pod.close()
    ends.splice().start(ahead=b"a query")
    assert await ends.hear(ends.client) == b"last words"
    assert await ends.hear(ends.client) == b""
    assert ends.ended == 1


async def test_an_end_is_passed_on_alone(ends: Ends) -> None:
    ends.splice().start()
    ends.client.shutdown(socket.SHUT_WR)
    assert await ends.hear(ends.pod) == b""
    ends.pod.send(b"still here")
    assert await ends.hear(ends.client) == b"still here"
    assert ends.ended == 0
    ends.pod.close()
    assert await ends.hear(ends.client) == b""
    assert ends.ended == 1


async def test_a_client_that_never_leaves_a_pod_that_has(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a connection that rests in a pool: nobody would close it otherwise."""
    monkeypatch.setattr(splicing, "_LINGER", 0.05)
    ends.splice().start()
    ends.pod.close()
    assert await ends.hear(ends.client) == b""
    assert ends.ended == 0
    await asyncio.sleep(0.2)
    assert ends.ended == 1
    with pytest.raises(BrokenPipeError):
        ends.client.send(b"x")


async def test_who_reads_slowly_stops_who_sends(ends: Ends) -> None:
    ends.splice().start()
    whole, sent = random.Random(1).randbytes(10 << 20), 0
    with contextlib.suppress(BlockingIOError):
        while sent < len(whole):
            sent += ends.client.send(whole[sent : sent + 50_000])
            await asyncio.sleep(0.002)
    assert 0 < sent < len(whole)
    heard = bytearray()
    while len(heard) < sent:
        heard += await ends.hear(ends.pod)
    assert heard == whole[:sent]


def on_trial(ends: Ends) -> Trial:
    client = Client(ends.near_client, ("127.0.0.1", 1), 0.0)
    nothing = [lambda *anything: None] * 3
    return Trial(asyncio.get_running_loop(), client, ends.near_pod, *nothing)


async def test_what_may_be_kept_may_go_to_another_pod(ends: Ends) -> None:
    trial = on_trial(ends)
    trial.start()
    ends.client.send(b"x" * KEPT_MAX)
    assert await ends.hear(ends.pod) == trial.client.kept == b"x" * KEPT_MAX
    assert not trial.client.committed
    trial.stop()


async def test_more_than_may_be_kept_is_taken_only_as_the_pod_takes_it(ends: Ends) -> None:
    trial = on_trial(ends)
    trial.start()
    whole, sent = random.Random(1).randbytes(10 << 20), 0
    with contextlib.suppress(BlockingIOError):
        while sent < len(whole):
            sent += ends.client.send(whole[sent : sent + 50_000])
            await asyncio.sleep(0.002)
    assert 0 < sent < len(whole)
    assert trial.client.committed
    assert trial.client.kept == whole[:KEPT_MAX]
    assert 0 < len(trial.unsent) <= 1 << 16
    heard = bytearray()
    while len(heard) < sent:
        heard += await ends.hear(ends.pod)
    assert heard == whole[:sent]
    trial.stop()
