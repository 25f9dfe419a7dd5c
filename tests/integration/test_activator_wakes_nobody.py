"""What no real client says wakes nobody, is never held, and leaks nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sluice_activator import decide
from sluice_activator.kubernetes.scales import Scales
from sluice_activator.slices import Key
from sluice_testing.held import Held, held
from sluice_testing.hellos import client_hello
from sluice_testing.raw import GSS_ENCRYPTION_REQUEST, SSL_REQUEST, cancel_request, startup
from sluice_testing.slices_api import SlicesApi
from sluice_testing.stand_in import answers, only_listens

STARTUP = startup(user="app", database="app")
CLIENT_HELLO = client_hello("postgresql")
REAL = {
    "StartupMessage": STARTUP,
    "SSLRequest": SSL_REQUEST,
    "GSSENCRequest": GSS_ENCRYPTION_REQUEST,
    "ClientHello": CLIENT_HELLO,
}
CANCEL = cancel_request(b"\0\0\0\x01\0\0\0\x02")
NOISE = {
    "HTTPS": client_hello(),
    "HTTPS that offers HTTP": client_hello("h2", "http/1.1"),
    "HTTP": b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n",
    "a TLS record that is no ClientHello": b"\x16\x03\x03\x00\x04\x02\0\0\0",
    "TLS that is no handshake": b"\x15\x03\x03\x00\x02\x02\x28",
    "a version that nobody speaks": startup(2 << 16, user="app"),
    "a StartupMessage without an end": b"\0\0\0\x0d\0\x03\0\0user\0",
    "a CancelRequest without a key": b"\0\0\0\x08\x04\xd2\x16\x2e",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@pytest.fixture
async def activator(tmp_path: Path) -> AsyncIterator[Held]:
    with SlicesApi(tmp_path / "account").running() as api:
        async with held(api) as one:
            yield one


async def asleep(activator: Held) -> None:
    """It was asked nothing about the scale, and nobody is here; a real client still wakes it."""
    await asyncio.sleep(0.3)
    assert activator.api.asked("") == 0
    assert activator.wakes() == {"held": 0, "spliced": 0, "wake": None}
    assert activator.app.knocking == 0
    visitor = await activator.visitor(STARTUP)
    await activator.until(lambda: activator.api.asked("PATCH") == 1, "a client wakes it")
    visitor.writer.close()


async def test_whoever_connects_and_closes(activator: Held) -> None:
    for _ in range(50):
        (await activator.visitor()).writer.close()
    await asleep(activator)


@pytest.mark.parametrize("kind", NOISE)
async def test_noise_is_closed_at_once_without_a_byte(activator: Held, kind: str) -> None:
    visitor = await activator.visitor(NOISE[kind])
    assert await visitor.rest() == b""
    assert activator.refused("noise") == 1
    await asleep(activator)


async def test_a_cancel_request_is_closed_at_once(activator: Held) -> None:
    visitor = await activator.visitor(CANCEL)
    assert await visitor.rest() == b""
    await asleep(activator)


async def test_a_cancel_request_is_for_pods_that_are_up(activator: Held) -> None:
    with activator.stand_in(answers).listening() as pod:
        activator.tell(ready=[pod.address])
        await asyncio.sleep(0.3)
        visitor = await activator.visitor(CANCEL)
        assert await visitor.read() == b"R"
        assert [visit.said for visit in pod.visits] == [CANCEL]
        assert activator.wakes()["held"] == 0
        visitor.writer.close()
    assert activator.api.asked("") == 0


async def test_a_cancel_request_is_for_a_pod_that_ends_while_others_start(
    activator: Held,
) -> None:
    """Its client is still there, and nowhere else."""
    with activator.stand_in(answers).listening() as pod:
        starting = [activator.next_address() for _ in range(3)]
        activator.tell(unready=starting, terminating=[pod.address])
        await asyncio.sleep(0.3)
        visitor = await activator.visitor(CANCEL)
        assert await visitor.read() == b"R"
        assert [visit.said for visit in pod.visits] == [CANCEL]
        visitor.writer.close()


@pytest.mark.parametrize("kind", REAL)
async def test_a_message_that_is_not_whole_is_closed_in_the_end(
    activator: Held, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "FIRST_BYTES_WITHIN", 0.5)
    for length in (0, 1, len(REAL[kind]) // 2, len(REAL[kind]) - 1):
        visitor = await activator.visitor(REAL[kind][:length])
        assert await visitor.is_held()
        assert activator.wakes()["held"] == 0
        assert await visitor.rest() == b""
    assert activator.refused("incomplete") == 4
    await asleep(activator)


@pytest.mark.parametrize("kind", REAL)
async def test_a_message_in_single_bytes_is_a_client_when_it_is_whole(
    activator: Held, kind: str
) -> None:
    visitor = await activator.visitor()
    for byte in REAL[kind][:-1]:
        visitor.writer.write(bytes((byte,)))
        await asyncio.sleep(0.002)
    assert activator.api.asked("") == 0
    visitor.writer.write(REAL[kind][-1:])
    await activator.until(lambda: activator.api.asked("PATCH") == 1, "it is woken")
    assert await visitor.is_held()
    visitor.writer.close()


async def test_a_scan_of_many_ports(activator: Held) -> None:
    ports = []
    for number in range(40):
        name = f"proxy{number}"
        ports.append(activator.port + number + 1)
        activator.register(name, port=ports[-1], uid=f"uid-{number}")
    await activator.until_listening(*ports)
    for port in ports:
        (await activator.visitor(port=port)).writer.close()
        (await activator.visitor(b"\r\n", port=port)).writer.close()
    await asleep(activator)


async def test_who_leaves_while_held_wakes_nobody_any_more(activator: Held) -> None:
    activator.api.fail("500")
    visitor = await activator.visitor(SSL_REQUEST)
    await activator.until(lambda: activator.api.asked("GET") >= 2, "the scale is looked at")
    visitor.writer.close()
    await activator.held(0)
    activator.api.fail("")
    before = activator.api.asked("")
    await asyncio.sleep(1.5)
    assert activator.api.asked("") <= before + 1
    assert activator.api.asked("PATCH") == 0


async def test_who_leaves_while_the_scale_is_read_wakes_nobody(
    activator: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, read = asyncio.Event(), Scales.read

    async def late(scales: Scales, proxy: Key) -> dict[str, Any]:
        scale = await read(scales, proxy)
        await answered.wait()
        return scale

    monkeypatch.setattr(Scales, "read", late)
    visitor = await activator.visitor(SSL_REQUEST)
    await activator.until(lambda: activator.api.asked("GET") == 1, "the scale is looked at")
    visitor.writer.close()
    await activator.held(0)
    answered.set()
    await asyncio.sleep(0.3)
    assert activator.api.asked("PATCH") == 0


async def test_who_said_who_it_is_in_time_is_not_sent_away_for_that(
    activator: Held, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(decide, "FIRST_BYTES_WITHIN", 0.2)
    visitor = await activator.visitor(STARTUP)
    assert await visitor.is_held(0.5)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_another_at_the_address_gets_no_byte_of_a_client(activator: Held) -> None:
    """A recycled address: whoever is there hears the PROXY header, and no more."""
    with activator.stand_in(only_listens).listening() as other:
        activator.tell(ready=[other.address])
        visitors = [await activator.visitor(data) for data in REAL.values()]
        await activator.held(len(visitors))
        await activator.until(lambda: len(other.visits) > 2, "it is dialled again and again")
        with activator.stand_in(answers).listening() as pod:
            activator.tell(ready=[other.address, pod.address])
            for visitor in visitors:
                assert await visitor.read() == b"R"
        assert [visit.said for visit in other.visits] == [b""] * len(other.visits)
        for visitor in visitors:
            visitor.writer.close()
