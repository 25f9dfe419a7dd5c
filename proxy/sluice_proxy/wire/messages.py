"""The few messages that the proxy itself writes or reads, as functions on bytes."""

from collections.abc import Callable, Iterable, Mapping
from struct import Struct

from sluice_proxy.errors import ErrorFields
from sluice_proxy.wire import constants as c

_int32 = Struct("!i")
_header = Struct("!ci")
_uint16_at = Struct("!H").unpack_from


def message(kind: bytes, body: bytes = b"") -> bytes:
    """A typed message: one byte, the length (itself included), the body."""
    return _header.pack(kind, len(body) + 4) + body


def startup_frame(code: int, body: bytes = b"") -> bytes:
    """A message without a type: StartupMessage, SSLRequest, CancelRequest."""
    return _int32.pack(len(body) + 8) + _int32.pack(code) + body


def ready_for_query(status: bytes = b"I") -> bytes:
    return b"Z\x00\x00\x00\x05" + status


SYNC = message(b"S")
TERMINATE = message(b"X")
SSL_REQUEST = startup_frame(c.SSL_REQUEST)
CLOSE_UNNAMED = message(b"C", b"S\x00")
DISCARD_SEQUENCES = message(b"Q", b"DISCARD SEQUENCES\x00")


def query(text: bytes) -> bytes:
    return message(b"Q", text + b"\x00")


def is_plain_name(value: bytes) -> bool:
    """Whether the server takes this application_name as it is: printable ASCII, not too long."""
    return len(value) < 64 and all(32 <= byte <= 126 for byte in value)


def literal(value: bytes) -> bytes:
    """A string constant that means `value` whatever standard_conforming_strings says.

    Unless there are letters in it beyond ASCII: in some encodings a byte of theirs looks like
    a backslash, so that none can be escaped.
    """
    if not value.isascii():
        return b"'" + value.replace(b"'", b"''") + b"'"
    return b"E'" + value.replace(b"\\", b"\\\\").replace(b"'", b"''") + b"'"


def parse(name: bytes, text: bytes) -> bytes:
    """A Parse without declared types."""
    return message(b"P", name + b"\x00" + text + b"\x00\x00\x00")


def bind(portal: bytes, statement: bytes) -> bytes:
    """A Bind without parameters, every column of its result as text."""
    return message(b"B", portal + b"\x00" + statement + b"\x00" + bytes(6))


def execute(portal: bytes) -> bytes:
    """An Execute of all rows."""
    return message(b"E", portal + b"\x00" + bytes(4))


def describe_statement(name: bytes) -> bytes:
    return message(b"D", b"S" + name + b"\x00")


def close_portal(name: bytes) -> bytes:
    return message(b"C", b"P" + name + b"\x00")


def close_statement(name: bytes) -> bytes:
    return message(b"C", b"S" + name + b"\x00")


def startup(parameters: Iterable[tuple[bytes, bytes]], minor: int = 0) -> bytes:
    """A StartupMessage of protocol 3.`minor`."""
    pairs = b"".join(name + b"\x00" + value + b"\x00" for name, value in parameters)
    return startup_frame(c.PROTOCOL_3_0 + minor, pairs + b"\x00")


def cancel_request(pid: int, secret: bytes) -> bytes:
    return startup_frame(c.CANCEL_REQUEST, pid.to_bytes(4, "big") + secret)


def parameter_status(name: bytes, value: bytes) -> bytes:
    return message(b"S", name + b"\x00" + value + b"\x00")


def parameter_statuses(parameters: Mapping[bytes, bytes]) -> bytes:
    return b"".join(parameter_status(name, value) for name, value in parameters.items())


def backend_key_data(pid: int, secret: bytes) -> bytes:
    return message(b"K", pid.to_bytes(4, "big") + secret)


def authentication(code: int, body: bytes = b"") -> bytes:
    return message(b"R", _int32.pack(code) + body)


def greeting(parameters: Mapping[bytes, bytes], pid: int, secret: bytes) -> bytes:
    """From AuthenticationOk to the first ReadyForQuery."""
    return (
        authentication(c.AUTH_OK)
        + parameter_statuses(parameters)
        + backend_key_data(pid, secret)
        + ready_for_query()
    )


def negotiate_protocol_version(minor: int, unknown_options: list[bytes]) -> bytes:
    """Says that 3.`minor` is what will be spoken, and which `_pq_.` options are unknown."""
    names = b"".join(name + b"\x00" for name in unknown_options)
    version = _int32.pack(c.PROTOCOL_3_0 + minor)
    return message(b"v", version + _int32.pack(len(unknown_options)) + names)


def sasl_initial_response(mechanism: bytes, data: bytes) -> bytes:
    return message(b"p", mechanism + b"\x00" + _int32.pack(len(data)) + data)


def password(text: bytes) -> bytes:
    """A PasswordMessage: the password itself, or what MD5 makes of it."""
    return message(b"p", text + b"\x00")


def parse_sasl_initial_response(body: bytes) -> tuple[bytes, bytes | None] | None:
    """Mechanism and client-first-message, None when there is none yet; None for anything else."""
    mechanism, separator, rest = body.partition(b"\x00")
    if not separator or len(rest) < 4:
        return None
    (length,) = _int32.unpack_from(rest)
    if length == -1 and len(rest) == 4:
        return mechanism, None
    if length != len(rest) - 4:
        return None
    return mechanism, rest[4:]


def error_response(fields: ErrorFields) -> bytes:
    """An ErrorResponse; `V` is the severity that is never translated (9.6 and later)."""
    values = (
        (b"S", fields.severity),
        (b"V", fields.severity),
        (b"C", fields.sqlstate),
        (b"M", fields.message),
        (b"D", fields.detail),
        (b"H", fields.hint),
    )
    encoded = (key + value.encode() + b"\x00" for key, value in values if value)
    return message(b"E", b"".join(encoded) + b"\x00")


def parse_error(body: bytes) -> ErrorFields:
    """The fields of an ErrorResponse or NoticeResponse; what lacks becomes empty or XX000."""
    found = {part[:1]: part[1:].decode("utf-8", "replace") for part in body.split(b"\x00") if part}
    severity = found.get(b"V") or found.get(b"S") or "ERROR"
    return ErrorFields(
        severity,
        found.get(b"C", "XX000"),
        found.get(b"M", "unknown error"),
        found.get(b"H", ""),
        found.get(b"D", ""),
    )


def parse_parameter_status(body: bytes) -> tuple[bytes, bytes]:
    """Name and value; both empty strings are possible values."""
    parts = body.split(b"\x00")
    return (parts[0], parts[1]) if len(parts) >= 2 else (parts[0], b"")


def parse_strings(body: bytes) -> list[bytes]:
    """Zero-terminated strings up to the empty one that ends the list."""
    strings = []
    for part in body.split(b"\x00"):
        if not part:
            break
        strings.append(part)
    return strings


def statement_of_bind(data: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the name of the prepared statement stands in the Bind whose body is `start:end`.

    None when the head is not complete.
    """
    portal_end = data.find(b"\x00", start, end)
    statement_end = data.find(b"\x00", portal_end + 1, end)
    if portal_end < 0 or statement_end < 0:
        return None
    return portal_end + 1, statement_end


def columns(row: bytes) -> list[bytes | None]:
    """The values of a DataRow's body."""
    values: list[bytes | None] = []
    at = 2
    while at < len(row):
        (length,) = _int32.unpack_from(row, at)
        at += 4
        values.append(None if length < 0 else row[at : at + length])
        at += max(length, 0)
    return values


def edited_error(body: bytes, edit: Callable[[bytes, bytes], bytes | None]) -> bytes:
    """An ErrorResponse whose fields went through `edit(code, value)`; None leaves one out."""
    fields = []
    for part in body.split(b"\x00"):
        if part:
            value = edit(part[:1], part[1:])
            if value is not None:
                fields.append(part[:1] + value + b"\x00")
    return message(b"E", b"".join(fields) + b"\x00")


def replaces_unnamed(message: bytes, size: int) -> bool:
    """Whether the server surely drops its unnamed statement for this Query or Parse.

    It does not for a message that it cannot read, nor for a Parse of a named statement.
    `size` is the message's; of a long one only the first bytes may be here.
    """
    if len(message) != size:
        return False
    if message[0] == c.QUERY:
        return message.find(b"\x00", 5) == size - 1
    if message[0] != c.PARSE or message[5:6] != b"\x00":
        return False
    types = message.find(b"\x00", 6) + 1
    return 0 < types <= size - 2 and size - 2 - types == 4 * _uint16_at(message, types)[0]


def name_and_text_of_parse(body: bytes) -> tuple[bytes, bytes] | None:
    """Statement name and query text of a Parse, the text as far as it is here."""
    name_end = body.find(b"\x00")
    if name_end < 0:
        return None
    text_end = body.find(b"\x00", name_end + 1)
    text = body[name_end + 1 :] if text_end < 0 else body[name_end + 1 : text_end]
    return body[:name_end], text
