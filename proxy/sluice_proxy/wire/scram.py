"""SCRAM-SHA-256 (RFC 5802, RFC 7677), both halves: messages in, messages out.

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

MECHANISM = "SCRAM-SHA-256"
DEFAULT_ITERATIONS = 4096
# A server chooses what its client must compute; PostgreSQL's own default is 4096.
MAX_ITERATIONS = 1_000_000
# PostgreSQL's bound (PG_MAX_SASL_MESSAGE_LENGTH); a real message has about 100 bytes.
MAX_MESSAGE = 1024
SALT_BYTES = 16
KEY_BYTES = 32

# RFC 5802 5.1: `c=` is base64 of the GS2 header; the same for who never heard of binding.
_GS2_NONE = b"n,,"


class ScramError(Exception):
    """The peer broke the exchange; the text says how and holds nothing secret."""


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
    the client hashes only once. `matched` is the index of the one that fitted.
    """

    def __init__(self, verifiers: Sequence[Verifier], nonce: str) -> None:
        if len({(verifier.salt, verifier.iterations) for verifier in verifiers}) != 1:
            raise InvariantError("the verifiers of one exchange share salt and iterations")
        self._verifiers = verifiers
        self._nonce = nonce.encode("ascii")
        self._gs2 = b""
        self._client_first = b""
        self._server_first = b""
        self.matched = -1

    def first(self, client_first: bytes) -> bytes:
        """The server-first-message that answers a client-first-message.

        The user name in it is ignored, as PostgreSQL does: the one of the startup message
        counts.
        """
        self._gs2, self._client_first, client_nonce = _parse_client_first(client_first)
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
        # The whole attribute: a prefix would let a header pass that was never sent.
        if _attribute(parts[0], b"c") != _base64(self._gs2):
            raise ScramError("channel binding check failed")
        if not hmac.compare_digest(_attribute(parts[1], b"r"), self._nonce):
            raise ScramError("nonce does not match")
        proof = _key(_attribute(parts[-1], b"p"), "client proof")
        auth_message = self._auth_message(client_final[: client_final.rindex(b",")])
        self.matched = _matching(self._verifiers, proof, auth_message)
        if self.matched < 0:
            raise WrongPassword
        server_key = self._verifiers[self.matched].server_key
        return b"v=" + _base64(hmac.digest(server_key, auth_message, "sha256"))

    def _auth_message(self, without_proof: bytes) -> bytes:
        return b",".join((self._client_first, self._server_first, without_proof))


def _parse_client_first(message: bytes) -> tuple[bytes, bytes, bytes]:
    """(GS2 header, client-first-message-bare, nonce)."""
    flag, authzid, bare = [*_parts(message, limit=2), b"", b""][:3]
    if flag.startswith(b"p="):
        raise ScramError("the client uses channel binding, which was not offered")
    # `y` = "I could bind, I think you cannot". True: SCRAM-SHA-256-PLUS was not offered.
    if flag not in (b"n", b"y"):
        raise ScramError("malformed client-first-message: bad channel binding flag")
    if authzid:
        raise ScramError("the client uses an authorization identity, which is not supported")
    if bare.startswith(b"m="):
        raise ScramError("the client requires an unsupported SCRAM extension")
    name, nonce = [*bare.split(b","), b""][:2]
    _attribute(name, b"n")
    return flag + b",,", bare, _nonce(_attribute(nonce, b"r"))


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

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce.encode("ascii")
        # An empty name as libpq sends: PostgreSQL knows it from the startup message.
        self._client_first = b"n=,r=" + self._nonce
        self._server_first = b""
        self._server_signature = b""

    def first(self) -> bytes:
        """The client-first-message."""
        return _GS2_NONE + self._client_first

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
        without_proof = b"c=%b,r=%b" % (_base64(_GS2_NONE), self._nonce)
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
