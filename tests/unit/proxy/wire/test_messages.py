"""The messages that the proxy writes, byte by byte, and those that it reads, whatever they are."""

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.errors import ErrorFields
from sluice_proxy.wire import messages


def parse(name: bytes, text: bytes, types: bytes = b"\x00\x00") -> bytes:
    return messages.message(b"P", name + b"\x00" + text + b"\x00" + types)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (messages.SYNC, b"S\0\0\0\4"),
        (messages.TERMINATE, b"X\0\0\0\4"),
        (messages.SSL_REQUEST, b"\0\0\0\x08\x04\xd2\x16\x2f"),
        (messages.CLOSE_UNNAMED, b"C\0\0\0\6S\0"),
        (messages.DISCARD_SEQUENCES, b"Q\0\0\0\x16DISCARD SEQUENCES\0"),
        (messages.parse(b"n", b"SELECT 1"), b"P\0\0\0\x11n\0SELECT 1\0\0\0"),
        (messages.bind(b"p", b"n"), b"B\0\0\0\x0ep\0n\0\0\0\0\0\0\0"),
        (messages.execute(b"p"), b"E\0\0\0\x0ap\0\0\0\0\0"),
        (messages.describe_statement(b"n"), b"D\0\0\0\7Sn\0"),
        (messages.close_statement(b"n"), b"C\0\0\0\7Sn\0"),
        (messages.close_portal(b"n"), b"C\0\0\0\7Pn\0"),
        (messages.parameter_statuses({b"a": b"b"}), b"S\0\0\0\x08a\0b\0"),
        (messages.ready_for_query(), b"Z\0\0\0\5I"),
        (messages.ready_for_query(b"E"), b"Z\0\0\0\5E"),
        (messages.query(b"SELECT 1"), b"Q\0\0\0\x0dSELECT 1\0"),
        (messages.backend_key_data(1, b"\xff" * 4), b"K\0\0\0\x0c\0\0\0\1\xff\xff\xff\xff"),
        (messages.authentication(0), b"R\0\0\0\x08\0\0\0\0"),
        (messages.authentication(10, b"X\0\0"), b"R\0\0\0\x0b\0\0\0\x0aX\0\0"),
        (messages.parameter_status(b"a", b"b"), b"S\0\0\0\x08a\0b\0"),
        (
            messages.cancel_request(258, b"\1\2\3\4"),
            b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\1\2\1\2\3\4",
        ),
        (messages.startup([(b"user", b"u")]), b"\0\0\0\x10\0\3\0\0user\0u\0\0"),
        (messages.startup([(b"user", b"u")], 2), b"\0\0\0\x10\0\3\0\2user\0u\0\0"),
        (messages.password(b"secret"), b"p\0\0\0\x0bsecret\0"),
        (
            messages.negotiate_protocol_version(2, [b"_pq_.x"]),
            b"v\0\0\0\x13\0\3\0\2\0\0\0\1_pq_.x\0",
        ),
    ],
)
def test_bytes_on_the_wire(made: bytes, expected: bytes) -> None:
    assert made == expected


def test_startup_length_counts_itself() -> None:
    packet = messages.startup([(b"user", b"app"), (b"database", b"db")])
    assert struct.unpack("!i", packet[:4]) == (len(packet),)


@given(st.binary(max_size=60).map(lambda value: bytes(byte & 127 for byte in value)))
def test_a_literal_never_leaves_its_quotes(value: bytes) -> None:
    """Pitfall 33: whatever a value holds, it stays one string."""
    made = messages.literal(value)
    assert (made[:2], made[-1:]) == (b"E'", b"'")
    body = made[2:-1]
    assert re.fullmatch(rb"(?:[^'\\]|''|\\\\)*", body, re.DOTALL)
    assert re.sub(rb"''|\\\\", lambda pair: pair[0][:1], body) == value


@pytest.mark.parametrize(
    ("name", "plain"),
    [(b"", True), (b"my app~", True), (b"\x7f", False), (b"\n", False), (b"\xe4", False),
     (b"n" * 63, True), (b"n" * 64, False)],
)  # fmt: skip
def test_which_names_the_server_takes_as_they_are(name: bytes, plain: bool) -> None:
    assert messages.is_plain_name(name) is plain


def test_a_literal_of_letters_beyond_ascii_has_no_escapes() -> None:
    assert messages.literal(b"\xe4 it's") == b"'\xe4 it''s'"


FIELDS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1)


@given(st.builds(ErrorFields, FIELDS, FIELDS, FIELDS, FIELDS, FIELDS))
def test_an_error_is_read_back(fields: ErrorFields) -> None:
    made = messages.error_response(fields)
    assert made[:1] == b"E"
    assert struct.unpack("!i", made[1:5]) == (len(made) - 1,)
    assert messages.parse_error(made[5:]) == fields


def test_an_error_without_fields_is_still_one() -> None:
    assert messages.parse_error(b"\x00") == ErrorFields("ERROR", "XX000", "unknown error")
    assert messages.parse_error(b"SFEHLER\x00VFATAL\x00\x00").severity == "FATAL"


@given(st.binary(max_size=50))
def test_reading_survives_anything(body: bytes) -> None:
    messages.parse_error(body)
    messages.parse_parameter_status(body)
    messages.parse_strings(body)
    messages.parse_sasl_initial_response(body)
    messages.statement_of_bind(body, 0, len(body))
    messages.name_and_text_of_parse(body)
    messages.edited_error(body, lambda code, value: value)


def test_sasl_initial_response_both_ways() -> None:
    made = messages.sasl_initial_response(b"SCRAM-SHA-256", b"n,,n=,r=x")
    assert made[:1] == b"p"
    assert messages.parse_sasl_initial_response(made[5:]) == (b"SCRAM-SHA-256", b"n,,n=,r=x")


def test_a_sasl_initial_response_may_hold_no_response_yet() -> None:
    body = b"SCRAM-SHA-256\0\xff\xff\xff\xff"
    assert messages.parse_sasl_initial_response(body) == (b"SCRAM-SHA-256", None)
    assert messages.parse_sasl_initial_response(body + b"x") is None


@pytest.mark.parametrize(
    "body", [b"", b"SCRAM", b"SCRAM\x00", b"SCRAM\x00\0\0\0\5abc", b"SCRAM\x00\xff\xff\xff\xffabc"]
)
def test_a_malformed_sasl_initial_response_is_none(body: bytes) -> None:
    assert messages.parse_sasl_initial_response(body) is None


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"portal\x00stmt\x00rest", b"stmt"),
        (b"\x00\x00", b""),
        (b"portal\x00stmt", None),
        (b"portal", None),
        (b"", None),
    ],
)
def test_where_the_name_stands_in_a_bind(body: bytes, name: bytes | None) -> None:
    """Pitfall 23: the head alone is looked at, wherever it stands in a read."""
    data = b"before" + body + b"\x00after\x00"
    span = messages.statement_of_bind(data, 6, 6 + len(body))
    assert (None if span is None else data[span[0] : span[1]]) == name


def test_the_head_of_a_parse() -> None:
    assert messages.name_and_text_of_parse(b"s\x00SELECT 1\x00\0\0") == (b"s", b"SELECT 1")
    assert messages.name_and_text_of_parse(b"s\x00SELECT cut") == (b"s", b"SELECT cut")
    assert messages.name_and_text_of_parse(b"name") is None


def row(*values: bytes | None) -> bytes:
    parts = [struct.pack("!h", len(values))]
    for value in values:
        parts.append(struct.pack("!i", -1 if value is None else len(value)) + (value or b""))
    return b"".join(parts)


@given(st.lists(st.one_of(st.none(), st.binary(max_size=20)), max_size=5))
def test_the_columns_of_a_row_are_read_back(values: list[bytes | None]) -> None:
    assert messages.columns(row(*values)) == values


def test_the_fields_of_an_error_may_be_changed_and_left_out() -> None:
    body = b"SERROR\0C42P05\0Mours\0P7\0\0"

    def edit(code: bytes, value: bytes) -> bytes | None:
        return {b"M": b"theirs", b"P": None}.get(code, value)

    made = messages.edited_error(body, edit)
    assert made == messages.message(b"E", b"SERROR\0C42P05\0Mtheirs\0\0")


def test_a_parameter_status_without_a_value() -> None:
    assert messages.parse_parameter_status(b"a\0b\0") == (b"a", b"b")
    assert messages.parse_parameter_status(b"a") == (b"a", b"")


@pytest.mark.parametrize(
    ("body", "strings"),
    [(b"a\0b\0\0c", [b"a", b"b"]), (b"\0", []), (b"a", [b"a"]), (b"", [])],
)
def test_strings_up_to_the_empty_one(body: bytes, strings: list[bytes]) -> None:
    assert messages.parse_strings(body) == strings


@pytest.mark.parametrize(
    ("message", "replaces"),
    [
        (messages.query(b"SELECT 1"), True),
        (messages.query(b""), True),
        (messages.message(b"Q", b"no end"), False),
        (messages.message(b"Q", b"two\x00ends\x00"), False),
        (messages.message(b"Q"), False),
        (parse(b"", b"SELECT 1"), True),
        (parse(b"", b"SELECT $1", b"\0\1\0\0\0\x17"), True),
        (parse(b"named", b"SELECT 1"), False),
        (parse(b"", b"SELECT 1", b"\0\0junk"), False),
        (parse(b"", b"SELECT 1", b"\0\2\0\0\0\x17"), False),
        (parse(b"", b"SELECT 1", b""), False),
        (messages.message(b"P", b"\x00no end"), False),
        (messages.message(b"P"), False),
        (messages.message(b"B", b"\x00\x00"), False),
        (messages.SYNC, False),
    ],
)
def test_what_surely_replaces_the_unnamed_statement(message: bytes, replaces: bool) -> None:
    assert messages.replaces_unnamed(message, len(message)) is replaces
    assert not messages.replaces_unnamed(message[:-1], len(message))


def test_a_greeting_has_parameters_and_a_key() -> None:
    parts = (
        b"R\0\0\0\x08\0\0\0\0",
        b"S\0\0\0\x08a\0b\0",
        b"K\0\0\0\x0c\0\0\0\x07key!",
        b"Z\0\0\0\x05I",
    )
    assert messages.greeting({b"a": b"b"}, 7, b"key!") == b"".join(parts)
