"""Held clients that are not let in: deadlines, caps, pods that hang up, proxies that go."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sluice_activator import decide
from sluice_activator.trial import Client
from sluice_testing.held import Held, Visitor, held
from sluice_testing.hellos import client_hello, long_client_hello
from sluice_testing.raw import GSS_ENCRYPTION_REQUEST, SSL_REQUEST, startup
from sluice_testing.slices_api import SlicesApi
from sluice_testing.stand_in import Visit, answers, answers_as_another, hangs_up

STARTUP = startup(user="app", database="app")
CLIENT_HELLO = client_hello("postgresql")


@pytest.fixture
async def activator(tmp_path: Path) -> AsyncIterator[Held]:
    with SlicesApi(tmp_path / "account").running() as api:
        async with held(api) as one:
            yield one


@pytest.fixture
def short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "DEADLINE", 1.0)


@pytest.mark.usefixtures("short_deadline")
async def test_the_deadline_of_a_client_in_clear(activator: Held) -> None:
    fields = await (await activator.visitor(STARTUP)).error()
    assert (fields["S"], fields["C"]) == ("FATAL", "57P03")
    assert fields["M"] == (
        "the database proxy shop/orders sleeps and its pods did not start within 1 seconds"
    )
    assert "kubectl describe databaseproxy orders -n shop" in fields["H"]
    assert activator.refused("deadline") == 1
    assert activator.wakes()["held"] == 0
    metrics = activator.app.metrics.registry
    assert metrics.get_sample_value("sluice_activator_wake_failures_total") == 1


@pytest.mark.usefixtures("short_deadline")
async def test_the_deadline_tells_what_the_operator_knows(activator: Held) -> None:
    visitor = await activator.visitor(STARTUP)
    await activator.held(1)
    activator.register(trouble="the image sluice/proxy:9 cannot be pulled")
    assert (await visitor.error())["M"] == (
        "the database proxy shop/orders sleeps and its pods cannot start: "
        "the image sluice/proxy:9 cannot be pulled"
    )


@pytest.mark.usefixtures("short_deadline")
@pytest.mark.parametrize("said", [SSL_REQUEST, GSS_ENCRYPTION_REQUEST, CLIENT_HELLO])
async def test_the_deadline_of_who_wants_encryption_is_a_close(
    activator: Held, said: bytes
) -> None:
    """An `E` would make old clients go on in clear."""
    assert await (await activator.visitor(said)).rest() == b""
    assert activator.refused("deadline") == 1


async def test_waking_goes_on_while_anybody_is_held(
    activator: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a deadline of its own; the scale that somebody sets to zero is raised again."""
    monkeypatch.setattr(decide, "DEADLINE", 2.0)
    first = await activator.visitor(STARTUP)
    await activator.until(lambda: activator.scale.replicas == 1, "it is woken")
    await asyncio.sleep(1.2)
    second = await activator.visitor(STARTUP)
    assert "57P03" in (await first.error()).values()
    activator.scale_to_zero()
    await activator.until(lambda: activator.scale.replicas == 1, "it is woken again")
    assert activator.wakes()["held"] == 1
    with activator.stand_in(answers).listening() as pod:
        activator.tell(unready=[pod.address])
        assert await second.read() == b"R"


async def test_who_was_hung_up_on_keeps_its_place_and_its_deadline(
    activator: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "DEADLINE", 1.0)
    hang_up = threading.Event()

    def hangs_up_later(visit: Visit) -> None:
        visit.prove()
        visit.hear()
        hang_up.wait(5)

    with activator.stand_in(hangs_up_later).listening() as pod:
        activator.tell(ready=[pod.address])
        first = await activator.visitor(STARTUP)
        await activator.until(lambda: pod.visits and pod.visits[0].said, "the pod has the first")
        activator.tell()
        await asyncio.sleep(0.5)
        second = await activator.visitor(STARTUP)
        await activator.held(2)
        hang_up.set()
        assert (await first.error())["C"] == "57P03"
        assert await second.is_held(0.2)


async def test_a_pod_that_hangs_up_without_a_byte_is_left_for_another(activator: Held) -> None:
    with activator.stand_in(hangs_up).listening() as bad:
        activator.tell(ready=[bad.address])
        visitor = await activator.visitor(STARTUP)
        await activator.until(
            lambda: len([visit for visit in bad.visits if visit.said]) == 2, "it is tried twice"
        )
    with activator.stand_in(answers).listening() as good:
        activator.tell(ready=[good.address])
        assert await visitor.read() == b"R"
        assert good.visits[-1].said == STARTUP
        assert {visit.said for visit in bad.visits} <= {STARTUP, b""}
        assert activator.wakes()["held"] == 0


async def test_who_has_said_more_meanwhile_says_it_again_to_the_next_pod(activator: Held) -> None:
    def hears_more(visit: Visit) -> None:
        visit.prove()
        while len(visit.said) < len(STARTUP) + 4:
            visit.hear()

    with activator.stand_in(hears_more).listening() as bad:
        activator.tell(ready=[bad.address])
        visitor = await activator.visitor(STARTUP)
        await activator.until(lambda: bad.visits and bad.visits[0].said, "the pod has the client")
        visitor.writer.write(b"more")
        await activator.until(lambda: bad.visits[0].said == STARTUP + b"more", "and all of it")
    with activator.stand_in(answers).listening() as good:
        activator.tell(ready=[good.address])
        assert await visitor.read() == b"R"
        assert good.visits[-1].said == STARTUP + b"more"


async def test_pods_that_always_hang_up_mean_this_client(
    activator: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "TRIES", 3)
    with activator.stand_in(hangs_up).listening() as pod:
        activator.tell(ready=[pod.address])
        fields = await (await activator.visitor(STARTUP)).error()
        assert "end connections without an answer" in fields["M"]
        assert len([visit for visit in pod.visits if visit.said]) == 3


async def test_a_stranger_is_not_asked_again_until_there_is_news_of_it(activator: Held) -> None:
    with activator.stand_in(answers_as_another).listening() as stranger:
        activator.tell(ready=[stranger.address])
        visitor = await activator.visitor(STARTUP)
        await asyncio.sleep(0.6)
        assert len(stranger.visits) == 1
        stranger.manner = answers
        activator.tell(unready=[stranger.address])
        assert await visitor.read() == b"R"
        assert stranger.visits[0].said == b""


async def test_a_pod_of_another_proxy_is_a_stranger(activator: Held) -> None:
    """It knows another UID: it cannot answer, nor believe the header."""
    with activator.stand_in(answers, uid="another").listening() as other:
        activator.tell(ready=[other.address])
        visitor = await activator.visitor(STARTUP)
        await activator.until(lambda: len(other.visits) >= 2, "it is dialled")
        assert await visitor.is_held()
        assert {visit.said for visit in other.visits} == {b""}


async def test_a_proxy_that_goes_sends_its_held_clients_away(activator: Held) -> None:
    clear, encrypted = await activator.visitor(STARTUP), await activator.visitor(SSL_REQUEST)
    await activator.held(2)
    activator.api.delete("shop", "orders-activator")
    fields = await clear.error()
    assert (fields["C"], fields["M"]) == ("57P03", "the database proxy shop/orders is gone")
    assert await encrypted.rest() == b""
    await activator.until(lambda: activator.port not in activator.app.ports, "its port is closed")


async def test_a_proxy_whose_port_moves_keeps_its_held_clients(activator: Held) -> None:
    visitor = await activator.visitor(STARTUP)
    await activator.held(1)
    old, activator.port = activator.port, activator.port + 1
    activator.register()
    await activator.until_listening()
    assert old not in activator.app.ports
    late = await activator.visitor(STARTUP)
    await activator.held(2)
    with activator.stand_in(answers).listening() as pod:
        activator.tell(ready=[pod.address])
        assert await visitor.read() + await late.read() == b"RR"


async def test_of_two_proxies_with_one_port_the_older_keeps_it(activator: Held) -> None:
    activator.register(created="2026-01-02")
    activator.register("newer", created="2026-01-03")
    metrics = activator.app.metrics.registry
    await activator.until(
        lambda: metrics.get_sample_value("sluice_activator_refused_slices") == 1, "the newer loses"
    )
    visitor = await activator.visitor(STARTUP)
    await activator.held(1)
    # An even older one takes it over: who came before is still with the first.
    activator.register("oldest", created="2026-01-01")
    await activator.until(
        lambda: metrics.get_sample_value("sluice_activator_refused_slices") == 2, "two lose"
    )
    await activator.visitor(STARTUP)
    await activator.held(1, "oldest")
    assert activator.wakes()["held"] == 1
    activator.api.delete("shop", "oldest-activator")
    activator.api.delete("shop", "newer-activator")
    await activator.until(
        lambda: metrics.get_sample_value("sluice_activator_refused_slices") == 0, "none loses"
    )
    assert await visitor.is_held()


async def test_ports_that_are_taken_make_it_unready_only_if_they_are_many(activator: Held) -> None:
    ports = [activator.port + number for number in (1, 2)]
    async with contextlib.AsyncExitStack() as stack:
        for number, port in enumerate(ports, 1):
            blocker = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", port)
            await stack.enter_async_context(blocker)
            activator.register(f"other{number}", port=port)
            await activator.until(lambda n=number: failed_ports(activator) == n, "it cannot listen")
            assert bool(activator.app.unready) == (number == 2)
        assert f"cannot listen on 2 ports: {ports[0]}" in activator.app.unready
    await activator.until(lambda: not activator.app.unready, "it is ready again")
    await activator.until_listening(*ports)
    assert failed_ports(activator) == 0


def failed_ports(activator: Held) -> float | None:
    return activator.app.metrics.registry.get_sample_value("sluice_activator_failed_ports")


@pytest.mark.parametrize("caps", [{"HELD_MAX": 2}, {"HELD_MAX_OF_ALL": 2}])
async def test_caps(activator: Held, monkeypatch: pytest.MonkeyPatch, caps: dict[str, int]) -> None:
    for name, value in caps.items():
        monkeypatch.setattr(decide, name, value)
    inside = [await activator.visitor(STARTUP) for _ in range(2)]
    await activator.held(2)
    told = await (await activator.visitor(STARTUP)).rest()
    assert told == b"" if "HELD_MAX_OF_ALL" in caps else b"57P03" in told
    assert activator.refused("full") == 1
    inside[0].writer.close()
    await activator.held(1)
    assert await (await activator.visitor(STARTUP)).is_held()


async def test_whoever_does_not_say_who_they_are_takes_no_room_of_other_proxies(
    activator: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "HELD_MAX", 3)
    activator.register("other", port=activator.port + 1)
    await activator.until_listening(activator.port + 1)
    silent = [await activator.visitor(STARTUP[:-1]) for _ in range(3)]
    assert await (await activator.visitor()).rest() == b""
    assert activator.refused("full") == 1
    assert activator.app.knocking == 3
    await activator.visitor(STARTUP, port=activator.port + 1)
    await activator.held(1, "other")
    silent[0].writer.write(STARTUP[-1:])
    silent[1].writer.close()
    await activator.held(1)
    await activator.until(lambda: activator.app.knocking == 1, "there is room again")
    await activator.visitor(STARTUP)
    await activator.held(2)


async def test_a_client_is_not_read_from_without_end(activator: Held) -> None:
    """What it may say while it is held is kept, the rest stays with the kernel."""
    visitor = await activator.visitor(STARTUP + b"x" * 2_000_000)
    await activator.held(1)
    with activator.stand_in(whole).listening() as pod:
        activator.tell(ready=[pod.address])
        assert await visitor.read() == b"R"
        visitor.writer.write_eof()
        assert await visitor.rest() == b"end"
        assert pod.visits[-1].said == STARTUP + b"x" * 2_000_000


async def test_a_first_record_above_what_is_kept_goes_on_to_the_pod(activator: Held) -> None:
    """From there on it cannot go to another pod: that would not have the beginning."""
    record = long_client_hello(12_000)

    def hears_it_all(visit: Visit) -> None:
        visit.prove()
        while len(visit.said) < len(record):
            visit.hear()
        if len(pod.visits) > 1:
            visit.sock.sendall(b"R")
            visit.hear_all()

    with activator.stand_in(hears_it_all).listening() as pod:
        activator.tell(ready=[pod.address])
        unlucky = await activator.visitor(record)
        assert await unlucky.rest() == b""
        assert activator.refused("hung_up") == 1
        visitor = await activator.visitor(record)
        assert await visitor.read() == b"R"
        assert [visit.said for visit in pod.visits] == [record, record]


def whole(visit: Visit) -> None:
    """Answers the first message, and hears the client to its end."""
    visit.prove()
    while len(visit.said) < 10_000:
        visit.hear()
    visit.sock.sendall(b"R")
    visit.hear_all()
    visit.sock.sendall(b"end")


async def test_nobody_looks_again_and_again_for_what_is_not_read(
    activator: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    take = Client.take
    monkeypatch.setattr(Client, "take", lambda client: looks.append(1) or take(client))
    visitor = await activator.visitor(STARTUP + b"x" * 50_000)
    await activator.held(1)
    assert await visitor.is_held()
    assert len(looks) < 10


async def test_half_closed_connections_stay_so(activator: Held) -> None:
    def says_all(visit: Visit) -> None:
        visit.prove()
        visit.hear()
        visit.sock.sendall(b"R")
        visit.sock.shutdown(1)
        visit.hear_all()

    with activator.stand_in(says_all).listening() as pod:
        activator.tell(ready=[pod.address])
        visitor = await activator.visitor(STARTUP)
        assert await visitor.rest() == b"R"
        visitor.writer.write(b"and I am not done")
        visitor.writer.write_eof()
        await activator.until(lambda: pod.visits[0].said.endswith(b"not done"), "it got through")
        await activator.until(lambda: activator.wakes()["spliced"] == 0, "both have ended")


async def test_the_last_words_of_a_pod_reach_a_client_that_goes_on_speaking(
    activator: Held,
) -> None:
    """57P01, say: the pod closes while there are bytes that it never read."""
    client: list[Visitor] = []

    def speaks_and_goes(visit: Visit) -> None:
        visit.prove()
        visit.hear()
        visit.sock.sendall(b"R")
        visit.sock.recv(4, 2)  # MSG_PEEK: it is there, and stays unread
        visit.sock.sendall(b"E" * 100_000)

    with activator.stand_in(speaks_and_goes).listening() as pod:
        activator.tell(ready=[pod.address])
        client.append(await activator.visitor(STARTUP))
        assert await client[0].read() == b"R"
        client[0].writer.write(b"more")
        assert (await client[0].rest())[:1] == b"E"
