"""What is no PostgreSQL client at all, and clients that break the protocol: the proxy lives."""

import random
import struct
from collections.abc import Iterator

import pytest

from sluice_testing.door import Door
from sluice_testing.proxy import ProxyProcess
from sluice_testing.raw import SSL_REQUEST, cancel_request, message, query, startup

HTTP = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
SSH = b"SSH-2.0-OpenSSH_9.2\r\n"
TLS_HELLO_CUT = bytes.fromhex("160301020001000001fc0303")

OPENINGS = {
    "HTTP": HTTP,
    "SSH": SSH,
    "half a TLS hello": TLS_HELLO_CUT,
    "zeros": bytes(64),
    "a length of zero": struct.pack("!i", 0) + b"rest",
    "a length below the least": struct.pack("!ii", 7, 196608),
    "a negative length": struct.pack("!ii", -1, 196608) + b"rest",
    "a startup packet of 2 GB": struct.pack("!ii", 2**31 - 1, 196608),
    "a startup packet of 20 kB": startup(user="app", application_name="x" * 20_000),
    "no terminator": struct.pack("!ii", 12, 196608) + b"user",
    "a name without a value": struct.pack("!ii", 14, 196608) + b"user\0\0",
    "SSLRequest twice": SSL_REQUEST * 2,
    "a long SSLRequest": struct.pack("!ii", 12, 80877103) + b"more",
    "a cancel without a key": struct.pack("!ii", 8, 80877102),
    "a cancel with an unknown key": cancel_request(b"\0\0\0\1\0\0\0\2"),
}


@pytest.fixture(autouse=True)
def alive_afterwards(door: Door) -> Iterator[None]:
    yield
    with door.raw() as client:
        assert client.value("SELECT 1") == "1"


@pytest.mark.parametrize("opening", OPENINGS.values(), ids=OPENINGS)
def test_not_a_client(door: Door, opening: bytes) -> None:
    """It is closed, at most with an error: never a hang while its sender waits."""
    with door.knock() as client:
        client.send(opening)
        client.half_close()
        answer = client.read_bytes()
    assert answer in (b"", b"S", b"N", b"SN") or answer[:1] in b"ESN\x15", answer


def test_random_bytes(door: Door) -> None:
    dice = random.Random(1)
    for _ in range(200):
        with door.knock() as client:
            client.send(dice.randbytes(dice.randint(1, 200)))
            client.half_close()
            client.read_bytes()


def test_random_bytes_over_tls(door: Door) -> None:
    dice = random.Random(2)
    for _ in range(20):
        with door.knock() as client:
            client.start_tls(door.tls_context())
            client.send(struct.pack("!i", 40) + dice.randbytes(36))
            client.read_bytes()


def test_a_probe_makes_no_noise(proxy: ProxyProcess, door: Door) -> None:
    """Load balancers connect and close, all day long."""
    for _ in range(5):
        door.knock().close()
    client = door.knock()
    client.vanish()
    proxy.wait_until(lambda: proxy.state()["pool"]["clients"] == 0, "no clients")
    assert [event for event in proxy.events() if event["level"] not in ("info", "debug")] == []


def test_garbage_after_the_login(door: Door) -> None:
    dice = random.Random(3)
    for _ in range(50):
        with door.raw() as client:
            client.send(dice.randbytes(dice.randint(5, 100)))
            client.half_close()
            client.read_bytes()


BROKEN = {
    "an unknown type": message("!"),
    "a type of the server": message("Z", b"I"),
    "a length below four": b"Q" + struct.pack("!i", 3),
    "a negative length": b"Q" + struct.pack("!i", -5),
    "a query without terminator": message("Q", b"SELECT 1"),
    "a late password": message("p", b"secret\0"),
    "a bind cut short": message("B", b"\0"),
    "a parse cut short": message("P", b"name"),
    "a describe of nothing": message("D"),
    "a close of the wrong kind": message("C", b"X\0"),
    "a function call cut short": message("F", b"\0"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_message_that_breaks_the_protocol(door: Door, broken: bytes) -> None:
    """Ends with an error or a closed connection, inside a transaction too, and no hang."""
    for before in (b"", query("BEGIN")):
        with door.raw() as client:
            client.send(before + broken)
            client.half_close()
            client.read_bytes()
        with door.raw() as client:
            assert client.value("SELECT 'next'") == "next"


def test_a_client_that_goes_without_a_word_in_any_state(proxy: ProxyProcess, door: Door) -> None:
    for said in (b"", b"Q", query("BEGIN"), query("SELECT pg_sleep(0.2)"), message("P", b"\0")):
        client = door.raw()
        client.send(said)
        client.vanish()
    proxy.wait_for_pool(clients=0, borrowed=0, waiting=0)
