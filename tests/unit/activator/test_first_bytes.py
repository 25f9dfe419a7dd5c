"""Who is a real client, by bytes that come in any pieces."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_activator.first_bytes import KEPT_MAX, FirstBytes, judge

STARTUP = b"\0\0\0\x12\0\x03\0\0user\0app\0\0"
MESSAGES = {
    STARTUP: FirstBytes.STARTUP,
    STARTUP[:4] + b"\0\x03\0\x02" + STARTUP[8:]: FirstBytes.STARTUP,
    STARTUP[:4] + b"\0\x03\x27\x0f" + STARTUP[8:]: FirstBytes.STARTUP,
    struct.pack("!ii", 8, 80877103): FirstBytes.ENCRYPTION,
    struct.pack("!ii", 8, 80877104): FirstBytes.ENCRYPTION,
    b"\x16\x03\x01\x00\x05\x01\0\0\x01\x03": FirstBytes.ENCRYPTION,
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
    record = b"\x16\x03\x01\x40\x00\x01" + bytes(16383)
    assert judge(record[: KEPT_MAX - 1]) is FirstBytes.INCOMPLETE
    assert judge(record[:KEPT_MAX]) is FirstBytes.ENCRYPTION


def test_who_is_real() -> None:
    assert [kind for kind in FirstBytes if kind.real] == [
        FirstBytes.STARTUP,
        FirstBytes.ENCRYPTION,
    ]
