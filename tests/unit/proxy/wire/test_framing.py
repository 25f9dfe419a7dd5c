"""Framing: every message, cut everywhere, and what no peer may send."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.errors import ClientProtocolError, ProxyError, ServerProtocolError
from sluice_proxy.wire.framing import (
    FROM_CLIENT,
    FROM_SERVER,
    FROM_SERVER_ROWS,
    HOLD_LIMIT,
    PASS,
    REFUSE,
    TEXT_LIMIT,
    WHOLE,
    Framer,
    is_unsolicited,
)

CLIENT_KINDS = b"QPBDECFpHSXcfd"
SERVER_KINDS = b"123CEGHINTVWcnstZSKRAvDd"


def message(kind: int, body: bytes = b"") -> bytes:
    return bytes((kind,)) + struct.pack("!i", len(body) + 4) + body


def client_framer() -> Framer:
    return Framer(FROM_CLIENT, ClientProtocolError)


def server_framer() -> Framer:
    return Framer(FROM_SERVER, ServerProtocolError)


Seen = list[tuple[int, int, int]]


def feed_all(framer: Framer, pieces: list[bytes]) -> tuple[bytes, Seen]:
    """What went on, and the frames by their places in the whole stream."""
    passed = b""
    seen: Seen = []
    for piece in pieces:
        out, frames = framer.feed(piece)
        seen += [(kind, len(passed) + start, len(passed) + end) for kind, start, end in frames]
        passed += out
    return passed, seen


def places(stream: list[tuple[int, bytes]], table: bytes) -> Seen:
    found = []
    at = 0
    for kind, body in stream:
        end = at + 5 + len(body)
        if table[kind] != PASS:
            found.append((kind, at, end))
        at = end
    return found


TABLES = [
    (FROM_CLIENT, CLIENT_KINDS),
    (FROM_SERVER, SERVER_KINDS),
    (FROM_SERVER_ROWS, SERVER_KINDS),
]


@pytest.mark.parametrize(("table", "kinds"), TABLES)
def test_each_kind_cut_at_every_byte_is_as_uncut(table: bytes, kinds: bytes) -> None:
    """Pitfall 62."""
    for kind in kinds:
        stream = [(kind, b""), (kind, b"body\x00"), (kind, b"x" * 20)]
        data = b"".join(message(*one) for one in stream)
        whole = feed_all(Framer(table, ProxyError), [data])
        assert whole == (data, places(stream, table))
        for cut in range(len(data) + 1):
            framer = Framer(table, ProxyError)
            assert feed_all(framer, [data[:cut], data[cut:]]) == whole
            assert framer.at_boundary
        bytewise = Framer(table, ProxyError)
        assert feed_all(bytewise, [data[i : i + 1] for i in range(len(data))]) == whole


@pytest.mark.parametrize(("table", "kinds"), TABLES)
def test_what_is_not_cut_goes_on_as_the_same_object(table: bytes, kinds: bytes) -> None:
    for kind in kinds:
        data = message(kind, b"abc") * 3
        out, _ = Framer(table, ProxyError).feed(data)
        assert out is data


def test_the_middle_of_a_long_message_is_the_same_object_too() -> None:
    framer = client_framer()
    framer.feed(message(ord("d"), bytes(1000))[:100])
    piece = bytes(500)
    assert framer.feed(piece)[0] is piece
    assert framer.remain == 1005 - 600


@pytest.mark.parametrize(
    ("kind", "limit"), [(ord("Q"), TEXT_LIMIT), (ord("P"), TEXT_LIMIT), (ord("B"), HOLD_LIMIT)]
)
def test_a_message_is_held_up_to_the_limit_and_then_streams(kind: int, limit: int) -> None:
    """Pitfalls 23 and 61: memory is constant, however long a message is."""
    data = message(kind, b"x" * (limit * 2))
    framer = client_framer()
    assert framer.feed(data[: limit - 1]) == (b"", [])
    assert not framer.at_boundary
    out, frames = framer.feed(data[limit - 1 : limit])
    assert out == data[:limit]
    assert frames == [(kind, 0, len(data))]
    assert framer.remain == len(data) - limit
    rest = data[limit:] + message(ord("S"))
    out, frames = framer.feed(rest)
    assert out is rest
    assert frames == [(ord("S"), len(rest) - 5, len(rest))]
    assert framer.at_boundary


@pytest.mark.parametrize("kind", b"QPB")
def test_a_message_just_below_the_limit_is_whole(kind: int) -> None:
    data = message(kind, b"x" * (HOLD_LIMIT - 5))
    assert feed_all(client_framer(), [data[:9], data[9:]]) == (data, [(kind, 0, HOLD_LIMIT)])


def test_rows_are_reported_where_they_are_for_the_proxy() -> None:
    framer = server_framer()
    data = message(ord("D"), b"row")
    assert framer.feed(data) == (data, [])
    framer.use(FROM_SERVER_ROWS)
    assert framer.feed(data) == (data, [(ord("D"), 0, len(data))])
    framer.use(FROM_SERVER)
    assert framer.feed(data) == (data, [])


def test_a_long_row_is_never_held() -> None:
    data = message(ord("D"), bytes(HOLD_LIMIT))
    out, frames = server_framer().feed(data[:7])
    assert (out, frames) == (data[:7], [])


@pytest.mark.parametrize("length", [-(2**31), -1, 0, 3, 0x40000000, 0x7FFFFFFF])
@pytest.mark.parametrize("kind", b"QdS")
def test_an_impossible_length_is_refused(length: int, kind: int) -> None:
    """Pitfall 61: below 4 or above PostgreSQL's own limit."""
    framer = client_framer()
    assert framer.feed(bytes((kind,)) + struct.pack("!i", length)) == (b"", [])
    assert isinstance(framer.failure, ClientProtocolError)
    assert (framer.failure.message, framer.failure.sqlstate) == ("invalid message length", "08P01")


@pytest.mark.parametrize(("table", "kinds"), TABLES)
def test_every_other_type_is_refused(table: bytes, kinds: bytes) -> None:
    refused = set(range(256)) - set(kinds)
    assert {kind for kind in range(256) if table[kind] == REFUSE} == refused
    for kind in refused:
        framer = Framer(table, ProxyError)
        assert framer.feed(message(kind)) == (b"", [])
        assert framer.failure is not None
        assert framer.failure.message == f"invalid frontend message type {kind}"


def test_a_bad_type_is_not_told_before_its_header_is_here() -> None:
    framer = client_framer()
    assert framer.feed(b"G\x00\x00\x00") == (b"", [])
    assert framer.failure is None
    assert framer.feed(b"\x04") == (b"", [])
    assert framer.failure is not None


streams = st.sampled_from(TABLES).flatmap(
    lambda pair: st.tuples(
        st.just(pair[0]),
        st.lists(st.tuples(st.sampled_from(sorted(pair[1])), st.binary(max_size=40)), max_size=12),
    )
)


@given(streams, st.lists(st.integers(0, 600)))
def test_any_stream_cut_anywhere(
    case: tuple[bytes, list[tuple[int, bytes]]], at: list[int]
) -> None:
    table, stream = case
    data = b"".join(message(*one) for one in stream)
    cuts = [0, *sorted(cut for cut in at if cut <= len(data)), len(data)]
    pieces = [data[a:b] for a, b in pairwise(cuts)]
    framer = Framer(table, ProxyError)
    assert feed_all(framer, pieces) == (data, places(stream, table))
    assert framer.at_boundary


@given(st.lists(st.binary(max_size=30)))
def test_noise_is_passed_on_byte_for_byte_or_refused(pieces: list[bytes]) -> None:
    framer = client_framer()
    passed = b""
    for piece in pieces:
        out, frames = framer.feed(piece)
        for kind, start, end in frames:
            assert FROM_CLIENT[kind] != WHOLE or end <= len(out)
            assert 0 <= start < len(out)
        passed += out
        if framer.failure is not None:
            break
    assert b"".join(pieces).startswith(passed)


@pytest.mark.parametrize("bad", [b"G\x00\x00\x00\x04", b"Q\x00\x00\x00\x03", b"S\x00\x01\x00\x00"])
def test_what_is_good_before_a_refusal_is_still_reported(bad: bytes) -> None:
    framer = client_framer()
    good = message(ord("Q"), b"SELECT 1\0")
    assert framer.feed(good + bad) == (good, [(ord("Q"), 0, len(good))])
    assert isinstance(framer.failure, ClientProtocolError)
    assert framer.refused == bad


def test_the_rest_of_a_message_before_a_refusal_goes_on() -> None:
    framer = client_framer()
    data = message(ord("d"), bytes(HOLD_LIMIT + 10))
    framer.feed(data[:-10])
    assert framer.feed(data[-10:] + b"G\x00\x00\x00\x04") == (data[-10:], [])
    assert framer.failure is not None
    assert framer.remain == 0


@pytest.mark.parametrize(
    ("data", "rest", "unsolicited"),
    [
        (message(ord("S"), b"a\0b\0"), 0, False),
        (message(ord("N"), b"\0") + message(ord("S"), b"a\0b\0"), 0, False),
        (b"rest" + message(ord("N"), b"\0"), 4, False),
        (b"rest", 9, False),
        (message(ord("Z"), b"I"), 0, True),
        (message(ord("S"), b"a\0b\0") + message(ord("E"), b"\0"), 0, True),
    ],
)
def test_what_nobody_asked_for_is_more_than_news(data: bytes, rest: int, unsolicited: bool) -> None:
    """Pitfalls 8 and 9."""
    framer = server_framer()
    framer.remain = rest
    data, frames = framer.feed(data)
    assert is_unsolicited(data, frames, rest) is unsolicited
