"""How the proxy logs in on a server, as a generator of commands: no socket, no clock.

The driver performs each command and sends back what came of it. The generator returns
what the server said of itself, or raises the ProxyError that clients are told.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from struct import Struct
from typing import Any

from sluice_proxy.errors import ErrorFields, ServerProtocolError, ServerRejected, ServerUnavailable
from sluice_proxy.targets.capacity import Capacity
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages, scram

MECHANISM = b"SCRAM-SHA-256"
_int32 = Struct("!i")

# Refusals that pass: the server starts, stops, fails over or is full for the moment.
_TRANSIENT = frozenset(("53300", "53400", "57P01", "57P02", "57P03", "08000", "08006", "58000"))

# Asked once a connection, in the login's own time: see `Capacity` for why that is enough.
_CAPACITY_QUERY = messages.query(
    b"SELECT current_setting('max_connections'),"
    b" current_setting('superuser_reserved_connections'),"
    b" coalesce(current_setting('reserved_connections', true), '0')"
)


@dataclass(frozen=True, slots=True)
class Read:
    """Wants the next message: its type and its body."""


@dataclass(frozen=True, slots=True)
class Write:
    """Wants these bytes sent."""

    data: bytes


@dataclass(frozen=True, slots=True)
class DeriveKeys:
    """Wants `scram.derive_client_keys`, which is too dear for the event loop."""

    challenge: scram.Challenge


Command = Read | Write | DeriveKeys


@dataclass(slots=True)
class Greeting:
    """What a server said at the end of a login. `secret` is None without a cancel key."""

    parameters: dict[bytes, bytes] = field(default_factory=dict)
    pid: int = 0
    secret: bytes | None = None
    capacity: Capacity = field(default_factory=lambda: Capacity(0, 0))


@dataclass(frozen=True, slots=True)
class Credentials:
    """As whom, where and with which startup parameters to log in."""

    user: str
    password: str
    database: str
    parameters: tuple[tuple[bytes, bytes], ...] = ()
    nonce: str = ""


class WrongPassword(ServerRejected):
    """The server refused the password. Not for good: the Secret may be about to change."""


Steps = Generator[Command, Any, Any]


def log_in(credentials: Credentials) -> Generator[Command, Any, Greeting]:
    """From the StartupMessage to the first ReadyForQuery, and the server's capacity."""
    yield Write(_startup(credentials))
    yield from _authenticate(credentials)
    greeting = yield from _greeting()
    greeting.capacity = yield from _capacity()
    return greeting


def _startup(credentials: Credentials) -> bytes:
    names = (
        (b"user", credentials.user.encode("utf-8", "surrogateescape")),
        (b"database", credentials.database.encode("utf-8", "surrogateescape")),
    )
    return messages.startup((*names, *credentials.parameters))


def _next() -> Generator[Command, Any, tuple[int, bytes]]:
    """The next message that is no notice; raises what an ErrorResponse says."""
    while True:
        kind, body = yield Read()
        if kind == c.ERROR_RESPONSE:
            raise refusal(messages.parse_error(body))
        if kind != c.NOTICE_RESPONSE:
            return kind, body


def refusal(error: ErrorFields) -> ServerRejected | ServerUnavailable:
    """What an ErrorResponse during a login means for those who wait."""
    if error.sqlstate in _TRANSIENT:
        return ServerUnavailable(error.message, hint=error.hint, sqlstate=error.sqlstate)
    kind = WrongPassword if error.sqlstate == "28P01" else ServerRejected
    return kind(error.message, hint=error.hint, sqlstate=error.sqlstate)


def _authenticate(credentials: Credentials) -> Steps:
    kind, body = yield from _next()
    if kind != c.AUTHENTICATION or len(body) < 4:
        raise _unexpected(kind)
    (code,) = _int32.unpack_from(body)
    if code == c.AUTH_OK:
        return
    if code != c.AUTH_SASL or MECHANISM not in messages.parse_strings(body[4:]):
        raise ServerRejected(
            f"the server asks for authentication method {code}, which is not supported",
            hint="Set password_encryption to scram-sha-256 and the method in pg_hba.conf.",
            sqlstate="0A000",
        )
    yield from _scram(credentials)


def _scram(credentials: Credentials) -> Steps:
    exchange = scram.ClientExchange(credentials.nonce)
    yield Write(messages.sasl_initial_response(MECHANISM, exchange.first()))
    try:
        challenge = exchange.server_first((yield from _sasl(c.AUTH_SASL_CONTINUE)))
        keys = yield DeriveKeys(challenge)
        yield Write(messages.message(b"p", exchange.final(keys)))
        exchange.verify((yield from _sasl(c.AUTH_SASL_FINAL)))
    except scram.ScramError as error:
        raise ServerProtocolError(f"SCRAM with the server failed: {error}") from None
    yield from _sasl(c.AUTH_OK)


def _sasl(expected: int) -> Generator[Command, Any, bytes]:
    kind, body = yield from _next()
    if kind != c.AUTHENTICATION or len(body) < 4 or _int32.unpack_from(body)[0] != expected:
        raise _unexpected(kind)
    return body[4:]


def _greeting() -> Generator[Command, Any, Greeting]:
    greeting = Greeting()
    while True:
        kind, body = yield from _next()
        if kind == c.PARAMETER_STATUS:
            name, value = messages.parse_parameter_status(body)
            greeting.parameters[name] = value
        elif kind == c.BACKEND_KEY_DATA and len(body) >= 8:
            greeting.pid = int.from_bytes(body[:4], "big")
            greeting.secret = body[4:]
        elif kind == c.READY_FOR_QUERY:
            return greeting
        else:
            raise _unexpected(kind)


def _capacity() -> Generator[Command, Any, Capacity]:
    yield Write(_CAPACITY_QUERY)
    numbers: list[int] = []
    while True:
        kind, body = yield from _next()
        if kind == c.DATA_ROW:
            numbers = [int(value) for value in _columns(body)]
        elif kind == c.READY_FOR_QUERY:
            if len(numbers) != 3:
                raise ServerProtocolError("the server does not tell its max_connections")
            return Capacity(numbers[0], numbers[1] + numbers[2])


def _columns(row: bytes) -> list[bytes]:
    """The values of a DataRow; none of ours is null."""
    values = []
    at = 2
    while at < len(row):
        (length,) = _int32.unpack_from(row, at)
        values.append(row[at + 4 : at + 4 + length])
        at += 4 + length
    return values


def _unexpected(kind: int) -> ServerProtocolError:
    return ServerProtocolError(f"unexpected message {chr(kind)!r} from the server during login")
