"""How the proxy logs in on a server, as a generator of commands: no socket, no clock.

The driver performs each command and sends back what came of it. The generator returns
what the server said of itself, or raises the ProxyError that clients are told.
"""

import hashlib
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from struct import Struct
from typing import Any, Final

from sluice_proxy.errors import ErrorFields, ServerProtocolError, ServerRejected, ServerUnavailable
from sluice_proxy.targets.capacity import Capacity
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages, scram

_int32 = Struct("!i")

# Refusals that pass: the server starts, stops, fails over or is full for the moment.
_TRANSIENT = frozenset(("53300", "53400", "57P01", "57P02", "57P03", "08000", "08006", "58000"))

# 53300 is said of the whole server and of a CONNECTION LIMIT alike, in the server's language.
# The field R, "the name of the source-code routine reporting the error", tells which: here
# that of the role (miscinit.c) and of the database (postinit.c) are looked at.
_LIMITS = frozenset((b"RInitializeSessionUserId", b"RCheckMyDatabase"))

# Asked once a connection, in the login's own time: see `Capacity` for why that is enough.
_CAPACITY_QUERY = messages.query(
    b"SELECT current_setting('max_connections'),"
    b" current_setting('superuser_reserved_connections'),"
    b" coalesce(current_setting('reserved_connections', true), '0')"
)

CHECK_INTERVAL: Final = (b"client_connection_check_interval", b"1000")
"""The parameter, since PostgreSQL 14, by which a server looks in so many milliseconds whether
its client is still there while it executes. Without it a statement of a proxy that was killed runs
to its end, and counts on the server beside the connections of the pod that took its place."""


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
    """What a server said at the end of a login. `secret` is None without a cancel key.

    `answer` are the rows of what was asked behind `initQuery`.
    """

    parameters: dict[bytes, bytes] = field(default_factory=dict)
    pid: int = 0
    secret: bytes | None = None
    capacity: Capacity = field(default_factory=lambda: Capacity(0, 0))
    answer: list[list[bytes | None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Credentials:
    """As whom, where and with which startup parameters to log in."""

    user: str
    password: str
    database: str
    parameters: tuple[tuple[bytes, bytes], ...] = ()
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked for although a server may refuse to log anybody in who asks.

    `minor` is the protocol version, `checks` stands for CHECK_INTERVAL.
    """

    minor: int = c.NEWEST_MINOR
    checks: bool = True


@dataclass(frozen=True, slots=True)
class Channel:
    """What the login goes over, and what may be said there.

    `binding` is what the server's certificate gives for SCRAM-SHA-256-PLUS. `cleartext`:
    the password itself may be sent.
    """

    encrypted: bool = False
    binding: bytes | None = None
    cleartext: bool = False
    wishes: Wishes = Wishes()


class WrongPassword(ServerRejected):
    """The server refused the password. Not for good: the Secret may be about to change."""


class LimitReached(ServerUnavailable):
    """The role, or its database, has as many connections as its own CONNECTION LIMIT allows."""

    reason = "TooManyConnections"


class WishRefused(Exception):
    """The server may let in who asks for `less`."""

    def __init__(self, less: Wishes):
        super().__init__()
        self.less = less


Steps = Generator[Command, Any, Any]


def log_in(
    credentials: Credentials, channel: Channel = Channel()
) -> Generator[Command, Any, Greeting]:
    """From the StartupMessage to the first ReadyForQuery, and the server's capacity.

    Raises WishRefused where that is what the server refuses.
    """
    wishes = channel.wishes
    yield Write(_startup(credentials, wishes))
    try:
        kind, body = yield from _first_answer(wishes)
        yield from _authenticate(credentials, channel, kind, body)
        greeting = yield from _greeting()
    except ServerRejected as error:
        if wishes.checks and _is_about_checks(error):
            raise WishRefused(replace(wishes, checks=False)) from None
        raise
    greeting.capacity = yield from _capacity()
    return greeting


def _startup(credentials: Credentials, wishes: Wishes) -> bytes:
    names = (
        (b"user", credentials.user.encode("utf-8", "surrogateescape")),
        (b"database", credentials.database.encode("utf-8", "surrogateescape")),
    )
    own = (CHECK_INTERVAL,) if wishes.checks and not _chooses(credentials.parameters) else ()
    return messages.startup((*names, *own, *credentials.parameters), wishes.minor)


def _chooses(parameters: tuple[tuple[bytes, bytes], ...]) -> bool:
    """Whether these set CHECK_INTERVAL themselves, by its name or in `options`."""
    words = b" ".join(word for pair in parameters for word in pair)
    # "-c some-name" and "--some-name" are some_name.
    return CHECK_INTERVAL[0] in words.lower().replace(b"-", b"_")


def _is_about_checks(error: ServerRejected) -> bool:
    """The server does not know the parameter, or cannot do it on its system; in any language."""
    return CHECK_INTERVAL[0].decode() in error.message


def _first_answer(wishes: Wishes) -> Generator[Command, Any, tuple[int, bytes]]:
    """What comes after the server said which version it speaks, if it had to."""
    minor = wishes.minor
    try:
        kind, body = yield from _next()
    except ServerRejected as error:
        # What PostgreSQL says of a version, and what others do who never heard of one.
        if minor and error.sqlstate in ("0A000", "08P01") and not _is_about_checks(error):
            raise WishRefused(replace(wishes, minor=0)) from None
        raise
    if kind != c.NEGOTIATE_PROTOCOL_VERSION:
        return kind, body
    if len(body) < 8 or not c.PROTOCOL_3_0 <= _int32.unpack_from(body)[0] < c.PROTOCOL_3_0 + minor:
        raise ServerProtocolError("the server negotiates a protocol version that is not spoken")
    return (yield from _next())


def _next() -> Generator[Command, Any, tuple[int, bytes]]:
    """The next message that is no notice; raises what an ErrorResponse says."""
    while True:
        kind, body = yield Read()
        if kind == c.ERROR_RESPONSE:
            raise refusal(messages.parse_error(body), body)
        if kind != c.NOTICE_RESPONSE:
            return kind, body


def refusal(error: ErrorFields, said: bytes = b"") -> ServerRejected | ServerUnavailable:
    """What an ErrorResponse during a login means for those who wait; `said` is its body."""
    kind = _kind(error.sqlstate, said)
    return kind(
        error.message,
        hint=error.hint,
        sqlstate=error.sqlstate,
        detail=error.detail,
        said=b"" if kind.transient else said,
    )


def _kind(sqlstate: str, said: bytes) -> type[ServerRejected] | type[ServerUnavailable]:
    if sqlstate == "53300" and not _LIMITS.isdisjoint(said.split(b"\0")):
        return LimitReached
    if sqlstate in _TRANSIENT:
        return ServerUnavailable
    return WrongPassword if sqlstate == "28P01" else ServerRejected


def _authenticate(credentials: Credentials, channel: Channel, kind: int, body: bytes) -> Steps:
    if kind != c.AUTHENTICATION or len(body) < 4:
        raise _unexpected(kind)
    (code,) = _int32.unpack_from(body)
    offered = messages.parse_strings(body[4:]) if code == c.AUTH_SASL else []
    if code == c.AUTH_OK:
        return
    if scram.MECHANISM in offered or scram.MECHANISM_PLUS in offered:
        yield from _scram(credentials, _binding(channel, offered))
    elif code == c.AUTH_MD5 and len(body) == 8:
        yield Write(messages.password(_md5(credentials, body[4:])))
    elif code == c.AUTH_CLEARTEXT:
        yield Write(messages.password(_cleartext(credentials, channel)))
    else:
        raise ServerRejected(
            f"the server asks for authentication method {code}, which is not supported",
            hint="Set password_encryption to scram-sha-256 and the method in pg_hba.conf.",
            sqlstate="0A000",
        )
    yield from _sasl(c.AUTH_OK)


def _md5(credentials: Credentials, salt: bytes) -> bytes:
    """PostgreSQL's AuthenticationMD5Password: md5(md5(password, user), salt), in hex."""
    user = credentials.user.encode("utf-8", "surrogateescape")
    password = credentials.password.encode("utf-8", "surrogateescape")
    inner = hashlib.md5(password + user, usedforsecurity=False).hexdigest().encode()
    return b"md5" + hashlib.md5(inner + salt, usedforsecurity=False).hexdigest().encode()


def _cleartext(credentials: Credentials, channel: Channel) -> bytes:
    if not channel.cleartext:
        raise ServerRejected(
            "the server asks for the password in clear over a connection that is not encrypted",
            hint="Set targetTLS.mode to Require or stricter, or the method in pg_hba.conf to "
            "scram-sha-256.",
            sqlstate="28000",
        )
    return credentials.password.encode("utf-8", "surrogateescape")


def _binding(channel: Channel, offered: list[bytes]) -> scram.ChannelBinding:
    """What to say of channel binding. "y" tells on whoever took -PLUS off the server's list."""
    if not channel.encrypted or channel.binding is None:
        return scram.UNBOUND
    if scram.MECHANISM_PLUS not in offered:
        return scram.NOT_OFFERED
    return scram.bound_to(channel.binding)


def _scram(credentials: Credentials, binding: scram.ChannelBinding) -> Steps:
    exchange = scram.ClientExchange(credentials.nonce, binding)
    yield Write(messages.sasl_initial_response(binding.mechanism, exchange.first()))
    try:
        challenge = exchange.server_first((yield from _sasl(c.AUTH_SASL_CONTINUE)))
        keys = yield DeriveKeys(challenge)
        yield Write(messages.message(b"p", exchange.final(keys)))
        exchange.verify((yield from _sasl(c.AUTH_SASL_FINAL)))
    except scram.ScramError as error:
        raise ServerProtocolError(f"SCRAM with the server failed: {error}") from None


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
        elif kind == c.BACKEND_KEY_DATA and 4 <= len(body) - 4 <= c.MAX_CANCEL_KEY:
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
