"""The few messages that the proxy itself writes or reads, as functions on bytes."""

from collections.abc import Iterable, Mapping
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


def query(text: bytes) -> bytes:
    return message(b"Q", text + b"\x00")


def clean_ascii(value: bytes) -> bytes:
    """What the server makes of an application_name: printable ASCII, the rest as `?`."""
    return bytes(byte if 32 <= byte <= 126 else ord("?") for byte in value)


def set_application_name(value: bytes) -> bytes:
    """A Query that sets application_name to a `value` that was made clean before."""
    literal = value.replace(b"\\", b"\\\\").replace(b"'", b"''")
    return query(b"SET application_name TO E'" + literal + b"'")


def startup(parameters: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A StartupMessage of protocol 3.0."""
    pairs = b"".join(name + b"\x00" + value + b"\x00" for name, value in parameters)
    return startup_frame(c.PROTOCOL_3_0, pairs + b"\x00")


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


def negotiate_protocol_version(unknown_options: list[bytes]) -> bytes:
    """Says that 3.0 is the newest minor version, and which `_pq_.` options are unknown."""
    names = b"".join(name + b"\x00" for name in unknown_options)
    return message(b"v", _int32.pack(c.PROTOCOL_3_0) + _int32.pack(len(unknown_options)) + names)


def sasl_initial_response(mechanism: bytes, data: bytes) -> bytes:
    return message(b"p", mechanism + b"\x00" + _int32.pack(len(data)) + data)


def parse_sasl_initial_response(body: bytes) -> tuple[bytes, bytes] | None:
    """Mechanism and client-first-message; None when the body is not one."""
    mechanism, separator, rest = body.partition(b"\x00")
    if not separator or len(rest) < 4:
        return None
    (length,) = _int32.unpack_from(rest)
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


def statement_of_bind(body: bytes) -> bytes | None:
    """The prepared statement that a Bind names; None when the head is not complete."""
    portal_end = body.find(b"\x00")
    statement_end = body.find(b"\x00", portal_end + 1)
    if portal_end < 0 or statement_end < 0:
        return None
    return body[portal_end + 1 : statement_end]


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
