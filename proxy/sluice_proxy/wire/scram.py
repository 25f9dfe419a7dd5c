"""SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677), both halves: messages in, messages out.

Nonces come from the caller. The costly part, PBKDF2, is in `derive_verifier` and
`derive_client_keys` alone, so that callers can run it off the event loop and keep the result.
"""

import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from sluice_proxy.errors import InvariantError
from sluice_proxy.wire.saslprep import saslprep

MECHANISM = b"SCRAM-SHA-256"
# The same, bound to the TLS connection that it goes over.
MECHANISM_PLUS = b"SCRAM-SHA-256-PLUS"
DEFAULT_ITERATIONS = 4096
# A server chooses what its client must compute; PostgreSQL's own default is 4096.
MAX_ITERATIONS = 1_000_000
# PostgreSQL's bound (PG_MAX_SASL_MESSAGE_LENGTH); a real message has about 100 bytes.
MAX_MESSAGE = 1024
SALT_BYTES = 16
KEY_BYTES = 32

_BINDING_TYPE = b"tls-server-end-point"


class ScramError(Exception):
    """The peer broke the exchange; the text says how and holds nothing secret.

    `message` and `sqlstate` are what PostgreSQL tells a client, with the text as detail.
    """

    def __init__(
        self, detail: str, message: str = "malformed SCRAM message", sqlstate: str = "08P01"
    ):
        super().__init__(detail)
        self.message = message
        self.sqlstate = sqlstate


class WrongPassword(Exception):
    """The exchange was well formed and the proof fits no verifier."""


@dataclass(frozen=True, slots=True, repr=False)
class Verifier:
    """What a server keeps of a password: it can check proofs, it cannot make them."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


@dataclass(frozen=True, slots=True, repr=False)
class ClientKeys:
    """What a client needs of a password; as good as the password for this salt and count."""

    client_key: bytes
    stored_key: bytes
    server_key: bytes


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server asks a client to hash its password with."""

    salt: bytes
    iterations: int


@dataclass(frozen=True, slots=True)
class ChannelBinding:
    """What a client says of channel binding: its flag, and what it is bound to, if it is."""

    flag: bytes
    data: bytes = b""

    @property
    def mechanism(self) -> bytes:
        return MECHANISM_PLUS if self.data else MECHANISM

    @property
    def header(self) -> bytes:
        """RFC 5802 7: gs2-header, without an authorization identity."""
        return self.flag + b",,"


# RFC 5802 6: "n" cannot or will not bind; "y" could, but the server did not offer it.
UNBOUND = ChannelBinding(b"n")
NOT_OFFERED = ChannelBinding(b"y")


def bound_to(data: bytes) -> ChannelBinding:
    """Bound to the server's certificate, by what `channel_binding` makes of it."""
    return ChannelBinding(b"p=" + _BINDING_TYPE, data)


def derive_client_keys(password: str, salt: bytes, iterations: int) -> ClientKeys:
    """The keys of `password`. About 1 ms for 4096 iterations; releases the GIL."""
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    return ClientKeys(client_key, stored_key, hmac.digest(salted, b"Server Key", "sha256"))


def derive_verifier(password: str, salt: bytes, iterations: int = DEFAULT_ITERATIONS) -> Verifier:
    """The verifier of `password`. As costly as `derive_client_keys`."""
    keys = derive_client_keys(password, salt, iterations)
    return Verifier(salt, iterations, keys.stored_key, keys.server_key)


def stable_salt(user: str, secret: bytes) -> bytes:
    """A salt that is always the same for one user and one `secret`.

    Users that exist and users that do not must take their salts from here alike: a salt
    that changes between two tries tells which of the two a name is.
    """
    return _keyed(secret, b"salt", user)[:SALT_BYTES]


def mock_verifier(user: str, secret: bytes) -> Verifier:
    """The verifier of an unknown user: looks like any other, and no password fits it."""
    return Verifier(
        stable_salt(user, secret),
        DEFAULT_ITERATIONS,
        _keyed(secret, b"stored key", user),
        _keyed(secret, b"server key", user),
    )


def _keyed(secret: bytes, purpose: bytes, user: str) -> bytes:
    name = user.encode("utf-8", "surrogateescape")
    return hmac.digest(secret, purpose + b"\0" + name, "sha256")


class ServerExchange:
    """One login of a client: `first`, then `final`.

    `verifiers` are the passwords that are good now; they share salt and iterations, since
    the client hashes only once. `matched` is the index of the one that fitted. `binding` is
    given where -PLUS was offered, and `plus` tells whether the client chose it.
    """

    def __init__(
        self,
        verifiers: Sequence[Verifier],
        nonce: str,
        binding: bytes | None = None,
        plus: bool = False,
    ) -> None:
        if len({(verifier.salt, verifier.iterations) for verifier in verifiers}) != 1:
            raise InvariantError("the verifiers of one exchange share salt and iterations")
        self._verifiers = verifiers
        self._nonce = nonce.encode("ascii")
        self._binding = binding
        self._plus = plus
        self._gs2 = b""
        self._client_first = b""
        self._server_first = b""
        self.matched = -1

    def first(self, client_first: bytes) -> bytes:
        """The server-first-message that answers a client-first-message.

        The user name in it is ignored, as PostgreSQL does: the one of the startup message
        counts.
        """
        flag, self._client_first, client_nonce = _parse_client_first(client_first)
        _check_flag(flag, self._binding is not None, self._plus)
        self._gs2 = flag + b",,"
        self._nonce = client_nonce + self._nonce
        salt = _base64(self._verifiers[0].salt)
        iterations = self._verifiers[0].iterations
        self._server_first = b"r=%b,s=%b,i=%d" % (self._nonce, salt, iterations)
        return self._server_first

    def final(self, client_final: bytes) -> bytes:
        """The server-final-message, or WrongPassword, or ScramError."""
        if not self._server_first:
            raise InvariantError("final before first")
        parts = _parts(client_final)
        if len(parts) < 3:
            raise ScramError("malformed client-final-message")
        self._check_binding(_attribute(parts[0], b"c"))
        if not hmac.compare_digest(_attribute(parts[1], b"r"), self._nonce):
            raise ScramError("Nonce does not match.", "invalid SCRAM response")
        proof = _key(_attribute(parts[-1], b"p"), "client proof")
        auth_message = self._auth_message(client_final[: client_final.rindex(b",")])
        self.matched = _matching(self._verifiers, proof, auth_message)
        if self.matched < 0:
            raise WrongPassword
        server_key = self._verifiers[self.matched].server_key
        return b"v=" + _base64(hmac.digest(server_key, auth_message, "sha256"))

    def _check_binding(self, given: bytes) -> None:
        # The whole of it: a prefix would let a header pass that was never sent.
        bound = self._binding or b"" if self._plus else b""
        if given == _base64(self._gs2 + bound):
            return
        if self._plus:
            raise ScramError(
                "The certificate that the client sees is not the one of this proxy.",
                "SCRAM channel binding check failed",
                "28000",
            )
        raise ScramError(
            "Nothing but the header may be there.",
            "unexpected SCRAM channel-binding attribute in client-final-message",
        )

    def _auth_message(self, without_proof: bytes) -> bytes:
        return b",".join((self._client_first, self._server_first, without_proof))


def _parse_client_first(message: bytes) -> tuple[bytes, bytes, bytes]:
    """(GS2 flag, client-first-message-bare, nonce)."""
    flag, authzid, bare = [*_parts(message, limit=2), b"", b""][:3]
    if authzid:
        raise ScramError("", "client uses authorization identity, but it is not supported", "0A000")
    if bare.startswith(b"m="):
        raise ScramError("", "client requires an unsupported SCRAM extension", "0A000")
    name, nonce = [*bare.split(b","), b""][:2]
    _attribute(name, b"n")
    return flag, bare, _nonce(_attribute(nonce, b"r"))


def _check_flag(flag: bytes, offered: bool, plus: bool) -> None:
    """Whether what the client says of channel binding fits what was offered and chosen."""
    if flag.startswith(b"p="):
        if not plus:
            raise ScramError("The client selected SCRAM-SHA-256, but uses channel binding.")
        if flag[2:] != _BINDING_TYPE:
            kind = flag[2:].decode("ascii", "backslashreplace")
            raise ScramError("", f'unsupported SCRAM channel-binding type "{kind}"')
    elif flag not in (b"n", b"y"):
        raise ScramError("Unexpected channel-binding flag.")
    elif plus:
        raise ScramError("The client selected SCRAM-SHA-256-PLUS, but binds to no channel.")
    elif flag == b"y" and offered:
        # RFC 5802 6: somebody between the two took -PLUS off the list.
        raise ScramError(
            "The client supports SCRAM channel binding but thinks the server does not. "
            "However, this server does support channel binding.",
            "SCRAM channel binding negotiation error",
            "28000",
        )


def _matching(verifiers: Sequence[Verifier], proof: bytes, auth_message: bytes) -> int:
    """The index of the verifier that the proof fits, or -1; looks at all of them always."""
    matched = -1
    for index, verifier in enumerate(verifiers):
        signature = hmac.digest(verifier.stored_key, auth_message, "sha256")
        stored_key = hashlib.sha256(_xor(proof, signature)).digest()
        if hmac.compare_digest(stored_key, verifier.stored_key) and matched < 0:
            matched = index
    return matched


class ClientExchange:
    """One login on a server: `first`, `server_first`, `final`, `verify`, in this order."""

    def __init__(self, nonce: str, binding: ChannelBinding = UNBOUND) -> None:
        self._nonce = nonce.encode("ascii")
        self._binding = binding
        # An empty name as libpq sends: PostgreSQL knows it from the startup message.
        self._client_first = b"n=,r=" + self._nonce
        self._server_first = b""
        self._server_signature = b""

    def first(self) -> bytes:
        """The client-first-message."""
        return self._binding.header + self._client_first

    def server_first(self, data: bytes) -> Challenge:
        """What the server wants the password hashed with. Raises ScramError."""
        parts = _parts(data)
        if parts[0].startswith(b"m="):
            raise ScramError("the server requires an unsupported SCRAM extension")
        if len(parts) < 3:
            raise ScramError("malformed server-first-message")
        nonce = _nonce(_attribute(parts[0], b"r"))
        # RFC 5802 5.1: the client must verify that its own nonce begins the server's.
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise ScramError("the server's nonce does not extend the client's")
        salt = _unbase64(_attribute(parts[1], b"s"), "salt")
        if not salt:
            raise ScramError("the server's salt is empty")
        challenge = Challenge(salt, _iterations(_attribute(parts[2], b"i")))
        self._nonce = nonce
        self._server_first = data
        return challenge

    def final(self, keys: ClientKeys) -> bytes:
        """The client-final-message: the proof that we have the password."""
        if not self._server_first:
            raise InvariantError("final before server_first")
        bound = _base64(self._binding.header + self._binding.data)
        without_proof = b"c=%b,r=%b" % (bound, self._nonce)
        auth_message = b",".join((self._client_first, self._server_first, without_proof))
        signature = hmac.digest(keys.stored_key, auth_message, "sha256")
        self._server_signature = hmac.digest(keys.server_key, auth_message, "sha256")
        return without_proof + b",p=" + _base64(_xor(keys.client_key, signature))

    def verify(self, server_final: bytes) -> None:
        """Raises ScramError unless the server proves that it knows the password too."""
        if not self._server_signature:
            raise InvariantError("verify before final")
        value = _parts(server_final)[0]
        if value.startswith(b"e="):
            reason = value[2:].decode("ascii", "backslashreplace")
            raise ScramError(f"the server refused the proof: {reason}")
        signature = _key(_attribute(value, b"v"), "server signature")
        if not hmac.compare_digest(signature, self._server_signature):
            raise ScramError("the server's signature is wrong: it does not know the password")


def _parts(message: bytes, limit: int = -1) -> list[bytes]:
    if len(message) > MAX_MESSAGE:
        raise ScramError(f"message of {len(message)} bytes, more than {MAX_MESSAGE}")
    return message.split(b",", limit)


def _attribute(part: bytes, name: bytes) -> bytes:
    if not part.startswith(name + b"="):
        raise ScramError(f"malformed message: attribute {name.decode()!r} expected")
    return part[2:]


def _nonce(value: bytes) -> bytes:
    # RFC 5802 7: printable = %x21-2B / %x2D-7E. The comma cannot be here: it separates.
    if not value or not all(0x21 <= byte <= 0x7E for byte in value):
        raise ScramError("malformed message: the nonce is empty or not printable")
    return value


def _iterations(value: bytes) -> int:
    if not value.isdigit() or len(value) > 10:
        raise ScramError("malformed server-first-message: bad iteration count")
    if not 1 <= int(value) <= MAX_ITERATIONS:
        raise ScramError(f"{int(value)} iterations are not between 1 and {MAX_ITERATIONS}")
    return int(value)


def _key(value: bytes, what: str) -> bytes:
    key = _unbase64(value, what)
    if len(key) != KEY_BYTES:
        raise ScramError(f"malformed {what}")
    return key


def _base64(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False)


def _unbase64(value: bytes, what: str) -> bytes:
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except binascii.Error:
        raise ScramError(f"malformed {what}") from None


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
