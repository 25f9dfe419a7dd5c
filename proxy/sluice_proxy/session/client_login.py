"""How a client gets in, as a generator of commands: no socket, no clock.

The driver performs each command and sends back what came of it. The generator returns
what the client turned out to be, or raises the ProxyError that it is told.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from sluice_proxy.errors import (
    AuthenticationFailed,
    ClientProtocolError,
    FeatureNotSupported,
    ProxyError,
    TLSRequired,
)
from sluice_proxy.pool.key import FOLLOWED, PoolKey
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages, scram
from sluice_proxy.wire.startup import CancelRequest, GSSENCRequest, SSLRequest, Startup

MECHANISM = b"SCRAM-SHA-256"
# 3.0 has room for an int32 only. With 3.2 PostgreSQL itself makes 32 bytes; it takes 256.
SHORT_KEY = 4
LONG_KEY = 32
# Parameters of a StartupMessage that are no settings of the server connection.
_NOT_SETTINGS = frozenset((b"user", b"database", b"replication", FOLLOWED))
_FALSE = frozenset((b"", b"false", b"off", b"no", b"0", b"f", b"n"))


@dataclass(frozen=True, slots=True)
class ReadStartup:
    """Wants the next StartupPacket."""


@dataclass(frozen=True, slots=True)
class ReadPassword:
    """Wants the body of the next PasswordMessage."""


@dataclass(frozen=True, slots=True)
class Send:
    """Wants these bytes sent."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StartTLS:
    """Wants these bytes sent and the TLS handshake done. What was sent ahead is refused."""

    data: bytes


Command = ReadStartup | ReadPassword | Send | StartTLS


@dataclass(frozen=True, slots=True)
class Door:
    """What the proxy asks of clients. `verifiers` gives those of a role, never none."""

    offers_tls: bool
    requires_tls: bool
    verifiers: Callable[[str], Sequence[scram.Verifier]]
    nonce: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Login:
    """A client that proved who it is. `final` is still to be sent, before AuthenticationOk."""

    key: PoolKey
    application_name: bytes | None
    final: bytes
    encrypted: bool = False
    minor: int = 0

    @property
    def key_size(self) -> int:
        """Bytes of the secret in this client's cancel key."""
        return LONG_KEY if self.minor >= 2 else SHORT_KEY


LoginSteps = Generator[Command, Any, Login | CancelRequest]


def log_in(door: Door) -> LoginSteps:
    """The whole of a client's login up to, but not including, AuthenticationOk."""
    packet, encrypted = yield from _negotiate(door)
    if isinstance(packet, CancelRequest):
        return packet
    if door.requires_tls and not encrypted:
        raise TLSRequired
    login = _login(packet, encrypted)
    negotiation = _negotiation(packet)
    if negotiation:
        yield Send(negotiation)
    final = yield from _authenticate(door, login.key.user)
    return Login(login.key, login.application_name, final, encrypted)


def _negotiate(door: Door) -> Generator[Command, Any, tuple[Startup | CancelRequest, bool]]:
    """SSLRequest and GSSENCRequest, each at most once and in any order, then the rest."""
    encrypted = asked_gss = asked_tls = False
    while True:
        packet = yield ReadStartup()
        if isinstance(packet, SSLRequest):
            if asked_tls:
                raise ClientProtocolError("a second SSLRequest")
            asked_tls = True
            if door.offers_tls:
                yield StartTLS(b"S")
                encrypted = True
            else:
                yield Send(b"N")
        elif isinstance(packet, GSSENCRequest):
            if asked_gss or encrypted:
                raise ClientProtocolError("a second GSSENCRequest")
            asked_gss = True
            yield Send(b"N")
        else:
            return packet, encrypted


def _login(packet: Startup, encrypted: bool) -> Login:
    parameters = packet.parameters
    user = parameters.get(b"user", b"")
    if not user:
        raise ProxyError(
            "A user name is missing from the connection startup packet. "
            "Provide a user name for this connection.",
            sqlstate="28000",
        )
    if parameters.get(b"replication", b"").lower() not in _FALSE:
        raise FeatureNotSupported(
            "Feature not supported: RDS Proxy currently doesn't support streaming "
            "replication mode.",
            hint="Connect to the server itself for replication.",
        )
    settings = sorted(
        (name, value)
        for name, value in parameters.items()
        if name not in _NOT_SETTINGS and not name.startswith(b"_pq_.")
    )
    key = PoolKey(_text(user), _text(parameters.get(b"database") or user), tuple(settings))
    name = parameters.get(FOLLOWED)
    cleaned = None if name is None else messages.clean_ascii(name)
    return Login(key, cleaned, b"", encrypted)


def _text(name: bytes) -> str:
    # Names are bytes to the server; this keeps every byte on the way there and back.
    return name.decode("utf-8", "surrogateescape")


def _negotiation(packet: Startup) -> bytes:
    unknown = [name for name in packet.parameters if name.startswith(b"_pq_.")]
    if packet.minor == 0 and not unknown:
        return b""
    return messages.negotiate_protocol_version(unknown)


def _authenticate(door: Door, user: str) -> Generator[Command, Any, bytes]:
    """SCRAM-SHA-256, RFC 5802; the bytes that end it when the password was right."""
    exchange = scram.ServerExchange(door.verifiers(user), door.nonce())
    yield Send(messages.authentication(c.AUTH_SASL, MECHANISM + b"\x00\x00"))
    first = messages.parse_sasl_initial_response((yield ReadPassword()))
    if first is None:
        raise ClientProtocolError("malformed SASLInitialResponse message")
    mechanism, data = first
    if mechanism != MECHANISM:
        raise ClientProtocolError("client selected an invalid SASL authentication mechanism")
    try:
        challenge = exchange.first(data)
        yield Send(messages.authentication(c.AUTH_SASL_CONTINUE, challenge))
        final = exchange.final((yield ReadPassword()))
    except scram.WrongPassword:
        raise wrong_password(user) from None
    except scram.ScramError as error:
        raise ClientProtocolError(f"malformed SCRAM message: {error}") from None
    return messages.authentication(c.AUTH_SASL_FINAL, final)


def wrong_password(user: str) -> AuthenticationFailed:
    """The same words for a wrong password and an unknown role: neither tells which it was."""
    return AuthenticationFailed(
        f"The password that was provided for the role {user} is wrong.",
        hint="Roles and passwords are those of the Secrets named in spec.auth.",
    )
