"""Who is a real client, by bytes that come in any pieces."""

import ssl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_activator.first_bytes import KEPT_MAX, FirstBytes, judge
from sluice_testing.hellos import client_hello, first_flight, long_client_hello

STARTUP = b"\0\0\0\x12\0\x03\0\0user\0app\0\0"
CLIENT_HELLO = client_hello("postgresql")
MESSAGES = {
    STARTUP: FirstBytes.STARTUP,
    STARTUP[:4] + b"\0\x03\0\x02" + STARTUP[8:]: FirstBytes.STARTUP,
    STARTUP[:4] + b"\0\x03\x27\x0f" + STARTUP[8:]: FirstBytes.STARTUP,
    struct.pack("!ii", 8, 80877103): FirstBytes.ENCRYPTION,
    struct.pack("!ii", 8, 80877104): FirstBytes.ENCRYPTION,
    CLIENT_HELLO: FirstBytes.ENCRYPTION,
    client_hello("h2", "postgresql", "http/1.1"): FirstBytes.ENCRYPTION,
    struct.pack("!iiii", 16, 80877102, 1, 2): FirstBytes.CANCEL,
    struct.pack("!iii", 44, 80877102, 1) + bytes(32): FirstBytes.CANCEL,
}
NOISE = [
    b"GET / HTTP/1.0\r\n\r\n",
    b"\0\0\0\x07",
    struct.pack("!i", 10005),
    b"\xff\xff\xff\xff",
    struct.pack("!ii", 8, 2 << 16),
    struct.pack("!ii", 8, 80877105),
    struct.pack("!ii", 8, 80877102),
    STARTUP[:-1] + b"x",
    b"\x16\x02",
    b"\x16\x04",
    b"\x16\x03\x01\x00\x03",
    b"\x16\x03\x01\x40\x01",
    b"\x16\x03\x01\x00\x05\x02",
    b"\x15\x03\x03\x00\x02",
    client_hello(),
    client_hello("h2", "http/1.1"),
    client_hello("postgresql2", "xpostgresql"),
    # Lengths that lead out of the message, or past its end.
    CLIENT_HELLO.replace(b"\x0apostgresql", b"\x0bpostgresql"),
    CLIENT_HELLO[:43] + b"\xff" + CLIENT_HELLO[44:],
    b"\x16\x03\x01\x00\x05\x01\0\0\x01\x03",
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_counts_when_it_is_whole(message: bytes) -> None:
    for length in range(len(message)):
        assert judge(message[:length]) is FirstBytes.INCOMPLETE, message[:length]
    assert judge(message) is MESSAGES[message]
    assert judge(message + b"what follows") is MESSAGES[message]


@pytest.mark.parametrize("data", NOISE)
def test_noise(data: bytes) -> None:
    assert judge(data) is FirstBytes.NOISE


@given(st.binary(max_size=64), st.integers(0, 64))
def test_more_bytes_never_make_another_of_what_was_known(data: bytes, cut: int) -> None:
    early = judge(data[:cut])
    assert early in (FirstBytes.INCOMPLETE, judge(data)) or not early.real


def test_the_longest_startup_message_is_kept_whole() -> None:
    body = b"user\0" + b"x" * (KEPT_MAX - 8 - 7) + b"\0\0"
    message = struct.pack("!ii", KEPT_MAX, 3 << 16) + body
    assert len(message) == KEPT_MAX
    assert judge(message[:-1]) is FirstBytes.INCOMPLETE
    assert judge(message) is FirstBytes.STARTUP


def test_of_a_record_that_is_longer_than_what_is_kept_as_much_is_enough() -> None:
    record = long_client_hello(12_000)
    assert KEPT_MAX < len(record) < 16_384
    assert judge(record[: KEPT_MAX - 1]) is FirstBytes.INCOMPLETE
    assert judge(record[:KEPT_MAX]) is FirstBytes.ENCRYPTION
    other = record.replace(b"\x0apostgresql", b"\x0apostgresq_")
    assert judge(other[:KEPT_MAX]) is FirstBytes.NOISE


def test_a_client_hello_may_come_in_several_records() -> None:
    head, message = CLIENT_HELLO[:3], CLIENT_HELLO[5:]
    middle = message.index(b"postgresql") + 4
    parts = (message[:9], message[9:middle], message[middle:])
    records = b"".join(head + struct.pack("!H", len(part)) + part for part in parts)
    for length in range(len(records)):
        assert judge(records[:length]) is FirstBytes.INCOMPLETE
    assert judge(records + b"what follows") is FirstBytes.ENCRYPTION


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls(version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context()
    context.minimum_version = context.maximum_version = version
    assert judge(first_flight(context)) is FirstBytes.NOISE
    assert judge(first_flight(context, "postgresql")) is FirstBytes.ENCRYPTION


@given(st.data())
def test_a_client_hello_of_any_bytes_is_judged(data: st.DataObject) -> None:
    """Lengths that lie lead nowhere."""
    spoilt = bytearray(CLIENT_HELLO)
    for _ in range(data.draw(st.integers(1, 4))):
        spoilt[data.draw(st.integers(9, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    assert judge(bytes(spoilt)) in (FirstBytes.ENCRYPTION, FirstBytes.NOISE)


def test_who_is_real() -> None:
    assert [kind for kind in FirstBytes if kind.real] == [
        FirstBytes.STARTUP,
        FirstBytes.ENCRYPTION,
    ]
