"""How a client gets in, as a generator of commands: no socket, no clock.

The driver performs each command and sends back what came of it. The generator returns
what the client turned out to be, or raises the ProxyError that it is told.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
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
from sluice_proxy.wire.startup import (
    CancelRequest,
    DirectTLS,
    GSSENCRequest,
    SSLRequest,
    Startup,
    unsupported,
)

# 3.0 has room for an int32 only. With 3.2 PostgreSQL itself makes 32 bytes; it takes 256.
SHORT_KEY = 4
LONG_KEY = 32
# Parameters of a StartupMessage that are no settings of the server connection.
_NOT_SETTINGS = frozenset((b"user", b"database", b"replication", FOLLOWED))
# What PostgreSQL's parse_bool takes: any unique beginning of these words, in any case.
_FALSE = frozenset((b"f", b"fa", b"fal", b"fals", b"false", b"n", b"no", b"of", b"off", b"0"))
_TRUE = frozenset((b"t", b"tr", b"tru", b"true", b"y", b"ye", b"yes", b"on", b"1"))


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
    """Wants these bytes sent and the TLS handshake done. What was sent ahead is refused.

    The answer is the protocol that both sides agreed on by ALPN, None without.
    """

    data: bytes


Command = ReadStartup | ReadPassword | Send | StartTLS


@dataclass(frozen=True, slots=True)
class Door:
    """What the proxy asks of clients. `verifiers` gives those of a role, never none.

    `binding` is what SCRAM-SHA-256-PLUS binds to; None where the certificate has no such thing.
    """

    offers_tls: bool
    requires_tls: bool
    verifiers: Callable[[str], Sequence[scram.Verifier]]
    nonce: Callable[[], str]
    binding: bytes | None = None


class Unwelcome(ClientProtocolError):
    """Refused without a word, as PostgreSQL does: who this is does not speak its protocol."""


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
        return LONG_KEY if self.minor >= c.NEWEST_MINOR else SHORT_KEY


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
    final = yield from _authenticate(door, login.key.user, encrypted)
    return replace(login, final=final)


def _negotiate(door: Door) -> Generator[Command, Any, tuple[Startup | CancelRequest, bool]]:
    """SSLRequest and GSSENCRequest, each at most once and in any order, then the rest.

    What PostgreSQL does not expect any more it takes for a version that it does not speak.
    """
    encrypted = asked_gss = asked_tls = False
    while True:
        packet = yield ReadStartup()
        if isinstance(packet, DirectTLS):
            yield from _direct_tls(door)
            encrypted = True
        elif isinstance(packet, SSLRequest):
            if asked_tls:
                raise FeatureNotSupported(unsupported(c.SSL_REQUEST))
            asked_tls = True
            if door.offers_tls and not encrypted:
                yield StartTLS(b"S")
                # "a GSS request should only follow if SSL was rejected"
                encrypted = asked_gss = True
            else:
                yield Send(b"N")
        elif isinstance(packet, GSSENCRequest):
            if asked_gss:
                raise FeatureNotSupported(unsupported(c.GSSENC_REQUEST))
            asked_gss = True
            yield Send(b"N")
        else:
            return packet, encrypted


def _direct_tls(door: Door) -> Generator[Command, Any, None]:
    """TLS without SSLRequest. Only ALPN shows that this is no other protocol over TLS."""
    if not door.offers_tls:
        raise Unwelcome("direct TLS, but there is no certificate")
    if (yield StartTLS(b"")) != c.ALPN:
        raise Unwelcome(
            "received direct SSL connection request without ALPN protocol negotiation extension"
        )


def _login(packet: Startup, encrypted: bool) -> Login:
    parameters = packet.parameters
    user = parameters.get(b"user", b"")
    if not user:
        raise ProxyError(
            "A user name is missing from the connection startup packet. "
            "Provide a user name for this connection.",
            sqlstate="28000",
        )
    _refuse_replication(parameters.get(b"replication", b"false"))
    application_name = parameters.get(FOLLOWED)
    if application_name is not None and not messages.is_plain_name(application_name):
        # What becomes of it differs between servers: one of them is asked.
        application_name = None
    settings = sorted(
        (name, value)
        for name, value in parameters.items()
        if (name not in _NOT_SETTINGS or (name == FOLLOWED and application_name is None))
        and not name.startswith(b"_pq_.")
    )
    key = PoolKey(_text(user), _text(parameters.get(b"database") or user), tuple(settings))
    return Login(key, application_name, b"", encrypted, min(packet.minor, c.NEWEST_MINOR))


def _refuse_replication(value: bytes) -> None:
    if value == b"database" or value.lower() in _TRUE:
        raise FeatureNotSupported(
            "Feature not supported: RDS Proxy currently doesn't support streaming "
            "replication mode.",
            hint="Connect to the server itself for replication.",
        )
    if value.lower() not in _FALSE:
        raise ProxyError(
            f'invalid value for parameter "replication": "{value.decode("utf-8", "replace")}"',
            hint='Valid values are: "false", 0, "true", 1, "database".',
            sqlstate="22023",
        )


def _text(name: bytes) -> str:
    # Names are bytes to the server; this keeps every byte on the way there and back.
    return name.decode("utf-8", "surrogateescape")


def _negotiation(packet: Startup) -> bytes:
    """What of the client's wishes is not known; nothing where all of them are.

    3.1 was never used, but PostgreSQL takes it for what it is: no newer than its own.
    """
    unknown = [name for name in packet.parameters if name.startswith(b"_pq_.")]
    if packet.minor <= c.NEWEST_MINOR and not unknown:
        return b""
    return messages.negotiate_protocol_version(min(packet.minor, c.NEWEST_MINOR), unknown)


def _authenticate(door: Door, user: str, encrypted: bool) -> Generator[Command, Any, bytes]:
    """SCRAM-SHA-256, RFC 5802; the bytes that end it when the password was right."""
    binding = door.binding if encrypted else None
    offered = [scram.MECHANISM] if binding is None else [scram.MECHANISM_PLUS, scram.MECHANISM]
    yield Send(messages.authentication(c.AUTH_SASL, b"\x00".join((*offered, b"\x00"))))
    first = messages.parse_sasl_initial_response((yield ReadPassword()))
    if first is None:
        raise ClientProtocolError("malformed SASLInitialResponse message")
    mechanism, data = first
    if mechanism not in offered:
        raise ClientProtocolError("client selected an invalid SASL authentication mechanism")
    plus = mechanism == scram.MECHANISM_PLUS
    exchange = scram.ServerExchange(door.verifiers(user), door.nonce(), binding, plus)
    if data is None:
        # RFC 4422 4.2: "an empty challenge" asks for what could have come with the name.
        yield Send(messages.authentication(c.AUTH_SASL_CONTINUE))
        data = yield ReadPassword()
    try:
        challenge = exchange.first(data)
        yield Send(messages.authentication(c.AUTH_SASL_CONTINUE, challenge))
        final = exchange.final((yield ReadPassword()))
    except scram.WrongPassword:
        raise wrong_password(user) from None
    except scram.ScramError as error:
        raise ClientProtocolError(
            error.message, sqlstate=error.sqlstate, detail=str(error)
        ) from None
    return messages.authentication(c.AUTH_SASL_FINAL, final)


def wrong_password(user: str) -> AuthenticationFailed:
    """The same words for a wrong password and an unknown role: neither tells which it was."""
    # PostgreSQL's words, which drivers and tools look for, and RDS Proxy's.
    return AuthenticationFailed(
        f'password authentication failed for user "{user}": '
        f"The password that was provided for the role {user} is wrong.",
        hint="Roles and passwords are those of the Secrets named in spec.auth.",
    )
