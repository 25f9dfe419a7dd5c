"""A client that says exactly what it is told to: for stories that no driver can tell.

It shares no code with the proxy, so that one misreading of the protocol cannot hide
behind the other. https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
from contextlib import suppress
from typing import NamedTuple, Self

PROTOCOL_3_0 = 196608
PROTOCOL_3_2 = 196610
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
GSS_ENCRYPTION_REQUEST = struct.pack("!ii", 8, 80877104)

AUTHENTICATION_OK, SASL, SASL_CONTINUE, SASL_FINAL = 0, 10, 11, 12


class Message(NamedTuple):
    """One message of the server: its type letter and what follows the length."""

    kind: str
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        """Of an ErrorResponse or NoticeResponse, by field letter: S, C, M, D, H…"""
        parts = self.body.rstrip(b"\0").split(b"\0")
        return {part[:1].decode(): part[1:].decode(errors="replace") for part in parts if part}

    @property
    def row(self) -> list[bytes | None]:
        """The columns of a DataRow."""
        values: list[bytes | None] = []
        at = 2
        for _ in range(struct.unpack_from("!h", self.body)[0]):
            [size] = struct.unpack_from("!i", self.body, at)
            at += 4
            values.append(None if size < 0 else self.body[at : at + size])
            at += max(size, 0)
        return values

    @property
    def text(self) -> str:
        """A body that is one string, such as a command tag."""
        return self.body.rstrip(b"\0").decode()


class Refused(Exception):
    """The server sent an ErrorResponse instead of letting the client in."""

    def __init__(self, error: Message):
        fields = error.fields
        super().__init__(f"{fields.get('S')} {fields.get('C')}: {fields.get('M')}")
        self.fields = fields


class RawClient:
    """A blocking socket that speaks whole messages, or bytes. Times out rather than hang."""

    def __init__(self, host: str, port: int, *, timeout: float = 20.0):
        self._socket = socket.create_connection((host, port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self.parameters: dict[str, str] = {}
        self.backend_key = b""
        self.negotiated: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def start_tls(self, context: ssl.SSLContext, server_name: str = "localhost") -> None:
        self.send(SSL_REQUEST)
        answer = self.read_byte()
        if answer != b"S":
            raise ConnectionError(f"the server answers {answer!r} to SSLRequest")
        self._socket = context.wrap_socket(self._socket, server_hostname=server_name)

    def start_direct_tls(
        self, context: ssl.SSLContext, server_name: str = "localhost", alpn: str = "postgresql"
    ) -> None:
        """TLS from the first byte on; an empty `alpn` offers none."""
        if alpn:
            context.set_alpn_protocols([alpn])
        self._socket = context.wrap_socket(self._socket, server_hostname=server_name)

    def peer_certificate(self) -> dict[str, object]:
        """As ssl.SSLSocket.getpeercert tells it."""
        assert isinstance(self._socket, ssl.SSLSocket)
        return dict(self._socket.getpeercert() or {})

    def log_in(
        self, password: str, protocol: int = PROTOCOL_3_0, /, **parameters: str
    ) -> list[Message]:
        """Startup with SCRAM-SHA-256, up to ReadyForQuery: what came after the login."""
        self.send(startup(protocol, **parameters))
        scram = Scram(password)
        while True:
            message = self.read()
            if message.kind == "E":
                raise Refused(message)
            if message.kind == "v":
                self.negotiated.append(message.body)
                continue
            if message.kind != "R":
                raise ConnectionError(f"{message} in the middle of a login")
            [step] = struct.unpack_from("!i", message.body)
            if step == AUTHENTICATION_OK:
                return self._welcome()
            self.send(scram.answer(step, message.body[4:]))

    def greet(self, packet: bytes, password: str) -> list[Message]:
        """Sends a startup packet: the answers up to ReadyForQuery, if it comes."""
        scram = Scram(password)
        heard: list[Message] = []
        with suppress(ConnectionError, TimeoutError):
            self.send(packet)
            while not heard or heard[-1].kind != "Z":
                heard.append(self.read())
                step = struct.unpack("!i", heard[-1].body[:4])[0] if heard[-1].kind == "R" else 0
                if step != AUTHENTICATION_OK:
                    self.send(scram.answer(step, heard[-1].body[4:]))
        return heard

    def _welcome(self) -> list[Message]:
        messages = self.read_until("Z")
        for message in messages:
            if message.kind == "S":
                name, value = message.body[:-1].split(b"\0")
                self.parameters[name.decode()] = value.decode()
            elif message.kind == "K":
                self.backend_key = message.body
        if messages[-1].kind == "E":
            raise Refused(messages[-1])
        return messages

    def send(self, *parts: bytes) -> None:
        self._socket.sendall(b"".join(parts))

    def send_some(self, data: bytes, seconds: float) -> int:
        """How many bytes went out before nothing more did for a while."""
        before = self._socket.gettimeout()
        self._socket.settimeout(seconds)
        sent = 0
        try:
            while sent < len(data):
                sent += self._socket.send(data[sent : sent + 65536])
        except TimeoutError:
            pass
        finally:
            self._socket.settimeout(before)
        return sent

    def read(self) -> Message:
        """The next message; ConnectionError at the end of the stream."""
        kind, size = struct.unpack("!ci", self._take(5))
        return Message(kind.decode("latin-1"), self._take(size - 4))

    def read_byte(self) -> bytes:
        """The answer to SSLRequest and GSSENCRequest, which is no message."""
        return self._take(1)

    def read_until(self, kinds: str, count: int = 1) -> list[Message]:
        """Messages up to the `count`th whose type is in `kinds`, or a FATAL error."""
        messages: list[Message] = []
        while count:
            message = self.read()
            messages.append(message)
            count -= message.kind in kinds
            if message.kind == "E" and message.fields.get("S") in ("FATAL", "PANIC"):
                break
        return messages

    def ask(self, *parts: bytes, rounds: int = 1) -> list[Message]:
        """Sends, then reads up to the `rounds`th ReadyForQuery."""
        self.send(*parts)
        return self.read_until("Z", rounds)

    def value(self, sql: str) -> str | None:
        """The first column of the first row of a simple query; Refused on an error."""
        for message in self.ask(query(sql)):
            if message.kind == "E":
                raise Refused(message)
            if message.kind == "D":
                value = message.row[0]
                return None if value is None else value.decode()
        return None

    def read_bytes(self) -> bytes:
        """Whatever comes until the server closes."""
        chunks = [bytes(self._buffer)]
        while True:
            try:
                chunk = self._socket.recv(65536)
            except (ConnectionResetError, ssl.SSLEOFError):
                chunk = b""
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)

    def silent_for(self, seconds: float) -> bool:
        """Whether nothing comes for a while."""
        if self._buffer:
            return False
        before = self._socket.gettimeout()
        self._socket.settimeout(seconds)
        try:
            self._buffer += self._socket.recv(65536)
            return False
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(before)

    def half_close(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        """A reset instead of a goodbye."""
        linger_zero = struct.pack("ii", 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            chunk = self._socket.recv(65536)
            if not chunk:
                raise ConnectionError(f"closed in mid message, got {bytes(self._buffer)!r}")
            self._buffer += chunk
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


class Scram:
    """The client's half of SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677)."""

    def __init__(self, password: str):
        self._password = password.encode()
        self._first = f"n=,r={secrets.token_urlsafe(18)}"
        self._signature = b""

    def answer(self, step: int, body: bytes) -> bytes:
        if step == SASL:
            first = b"n,," + self._first.encode()
            return message("p", b"SCRAM-SHA-256\0", struct.pack("!i", len(first)), first)
        if step == SASL_CONTINUE:
            return message("p", self._proof(body.decode()).encode())
        if step == SASL_FINAL:
            if base64.b64decode(body.removeprefix(b"v=")) != self._signature:
                raise ConnectionError("the server does not know the password itself")
            return b""
        raise ConnectionError(f"the server asks for authentication {step}")

    def _proof(self, challenge: str) -> str:
        given = dict(part.split("=", 1) for part in challenge.split(","))
        salt, rounds = base64.b64decode(given["s"]), int(given["i"])
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, rounds)
        final = f"c=biws,r={given['r']}"
        signed = f"{self._first},{challenge},{final}".encode()
        client_key = _hmac(salted, b"Client Key")
        mask = _hmac(hashlib.sha256(client_key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(client_key, mask, strict=True))
        self._signature = _hmac(_hmac(salted, b"Server Key"), signed)
        return f"{final},p={base64.b64encode(proof).decode()}"


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def message(kind: str, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def string(text: str | bytes) -> bytes:
    return (text.encode() if isinstance(text, str) else text) + b"\0"


def startup(protocol: int = PROTOCOL_3_0, **parameters: str | bytes) -> bytes:
    pairs = b"".join(string(name) + string(value) for name, value in parameters.items())
    return struct.pack("!ii", len(pairs) + 9, protocol) + pairs + b"\0"


def cancel_request(backend_key: bytes) -> bytes:
    """For the key of a BackendKeyData: process id and secret."""
    return struct.pack("!ii", 8 + len(backend_key), 80877102) + backend_key


def query(sql: str | bytes) -> bytes:
    return message("Q", string(sql))


def parse(sql: str | bytes, name: str = "", types: tuple[int, ...] = ()) -> bytes:
    numbers = struct.pack(f"!h{len(types)}i", len(types), *types)
    return message("P", string(name), string(sql), numbers)


def bind(
    *values: str | bytes | None,
    portal: str = "",
    name: str = "",
    formats: tuple[int, ...] = (),
    results: tuple[int, ...] = (),
) -> bytes:
    """Parameters and result columns are text unless `formats` and `results` say 1, binary."""
    parts = [string(portal), string(name), _int16s(len(formats), *formats), _int16s(len(values))]
    for value in values:
        raw = value.encode() if isinstance(value, str) else value
        parts.append(struct.pack("!i", -1) if raw is None else struct.pack("!i", len(raw)) + raw)
    return message("B", *parts, _int16s(len(results), *results))


def _int16s(*numbers: int) -> bytes:
    return struct.pack(f"!{len(numbers)}h", *numbers)


def describe(what: str, name: str = "") -> bytes:
    """`what` is S (statement) or P (portal)."""
    return message("D", what.encode(), string(name))


def execute(portal: str = "", rows: int = 0) -> bytes:
    return message("E", string(portal), struct.pack("!i", rows))


def close(what: str, name: str = "") -> bytes:
    return message("C", what.encode(), string(name))


def copy_data(data: bytes) -> bytes:
    return message("d", data)


def copy_fail(reason: str) -> bytes:
    return message("f", string(reason))


def function_call(oid: int, *arguments: bytes) -> bytes:
    """Arguments and result in binary."""
    parts = [struct.pack("!ihhh", oid, 1, 1, len(arguments))]
    parts += [struct.pack("!i", len(argument)) + argument for argument in arguments]
    return message("F", *parts, struct.pack("!h", 1))


SYNC = message("S")
FLUSH = message("H")
COPY_DONE = message("c")
TERMINATE = message("X")
