"""What a client says first, well-formed and not."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.errors import ClientProtocolError, FeatureNotSupported
from sluice_proxy.wire import messages
from sluice_proxy.wire.startup import (
    CancelRequest,
    GSSENCRequest,
    SSLRequest,
    Startup,
    packet_length,
    parse_packet,
)

VERSION_3_0 = 3 << 16


def packet(code: int, body: bytes = b"") -> bytes:
    return struct.pack("!ii", len(body) + 8, code) + body


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (packet(80877103), SSLRequest()),
        (packet(80877104), GSSENCRequest()),
        (packet(80877102, b"\0\0\0\7abcd"), CancelRequest(7, b"abcd")),
        (packet(80877102, b"\xff\xff\xff\xff" + b"k" * 32), CancelRequest(2**32 - 1, b"k" * 32)),
        (packet(VERSION_3_0, b"\0"), Startup(0, {})),
        (packet(VERSION_3_0 + 2, b"user\0u\0\0"), Startup(2, {b"user": b"u"})),
        (packet(VERSION_3_0, b"user\0u\0a\0\0\0"), Startup(0, {b"user": b"u", b"a": b""})),
        # Pitfall 42: of equal names the last counts, as on the server.
        (packet(VERSION_3_0, b"a\0x\0a\0y\0\0"), Startup(0, {b"a": b"y"})),
        (packet(VERSION_3_0, b"user\0\xff\xfe\0\0"), Startup(0, {b"user": b"\xff\xfe"})),
    ],
)
def test_good_packets(data: bytes, expected: object) -> None:
    assert packet_length(data) == len(data)
    assert parse_packet(data) == expected


@pytest.mark.parametrize("count", range(4))
def test_the_length_is_not_known_before_four_bytes(count: int) -> None:
    assert packet_length(packet(VERSION_3_0, b"\0")[:count]) == 0


@pytest.mark.parametrize(
    "head",
    [
        struct.pack("!i", 0),
        struct.pack("!i", 7),
        struct.pack("!i", -1),
        struct.pack("!i", -(2**31)),
        struct.pack("!i", 10005),
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01",  # a TLS ClientHello without SSLRequest
        b"\xff\xff\xff\xff",
    ],
)
def test_a_length_that_cannot_be(head: bytes) -> None:
    """Pitfall 42: lengths that are too short, too long, negative, or text of another protocol."""
    with pytest.raises(ClientProtocolError, match="invalid length of startup packet") as caught:
        packet_length(head)
    assert "PostgreSQL protocol" in caught.value.hint


@pytest.mark.parametrize("length", [8, 10004])
def test_the_bounds_of_the_length_are_good(length: int) -> None:
    assert packet_length(struct.pack("!i", length)) == length


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"user",
        b"user\0",
        b"user\0u",
        b"user\0u\0",
        b"user\0u\0\0\0",
        b"user\0u\0database\0\0",
        b"\0\0",
        b"\0value\0\0",
        b"user\0u\0\0junk\0",
    ],
)
def test_a_layout_that_is_none(body: bytes) -> None:
    """Pitfall 42: without the last zero byte, and with more behind it."""
    with pytest.raises(ClientProtocolError, match="invalid startup packet layout"):
        parse_packet(packet(VERSION_3_0, body))


@pytest.mark.parametrize("major", [0, 1, 2, 4, 1233, 0x7FFF])
def test_other_protocols_are_not_spoken(major: int) -> None:
    with pytest.raises(FeatureNotSupported, match="supports only version") as caught:
        parse_packet(packet(major << 16 | 7, b"user\0u\0\0"))
    told = f"unsupported frontend protocol {major}.7: server supports 3.0 to 3.2"
    assert caught.value.fields().detail == told


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "invalid length of cancel request packet"),
        (b"\0\0\0", "invalid length of cancel request packet"),
        (b"\0\0\0\1", "invalid length of cancel key"),
        (b"\0\0\0\1" + b"k" * 257, "invalid length of cancel key"),
    ],
)
def test_a_cancel_request_without_a_key_that_could_be_one(body: bytes, words: str) -> None:
    with pytest.raises(ClientProtocolError, match=words):
        parse_packet(packet(80877102, body))


@pytest.mark.parametrize("size", [1, 4, 5, 32, 256])
def test_keys_of_cancel_requests_have_any_size_up_to_256(size: int) -> None:
    """Pitfall 44: 3.2 has keys of variable length."""
    key = b"k" * size
    assert parse_packet(packet(80877102, b"\0\0\0\1" + key)) == CancelRequest(1, key)


NAMES = st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name)
VALUES = st.binary(max_size=20).filter(lambda value: b"\0" not in value)


@given(st.dictionaries(NAMES, VALUES))
def test_what_the_proxy_writes_it_reads(parameters: dict[bytes, bytes]) -> None:
    assert parse_packet(messages.startup(parameters.items())) == Startup(0, parameters)


CODES = st.one_of(
    st.integers(-(2**31), 2**31 - 1),
    st.sampled_from((VERSION_3_0, VERSION_3_0 + 2, 80877102, 80877103, 80877104)),
)


@given(CODES, st.binary(max_size=80))
def test_anything_is_a_packet_or_a_proxy_error(code: int, body: bytes) -> None:
    with contextlib.suppress(ClientProtocolError, FeatureNotSupported):
        parse_packet(packet(code, body))


@given(st.binary(max_size=16))
def test_any_head_has_a_length_or_is_refused(head: bytes) -> None:
    with contextlib.suppress(ClientProtocolError):
        assert packet_length(head) in (0, int.from_bytes(head[:4], "big"))
