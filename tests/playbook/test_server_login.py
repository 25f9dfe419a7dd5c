"""The proxy's login on a server as a conversation: what the server says, and what becomes of it."""

import base64
import struct
from typing import Any

import pytest

from sluice_proxy.errors import (
    ErrorFields,
    ProxyError,
    ServerProtocolError,
    ServerRejected,
    ServerUnavailable,
)
from sluice_proxy.targets.capacity import Capacity
from sluice_proxy.targets.server_login import (
    Credentials,
    DeriveKeys,
    Greeting,
    Read,
    Write,
    WrongPassword,
    log_in,
    refusal,
)
from sluice_proxy.wire import messages, scram

CREDENTIALS = Credentials("app", "secret", "shop", ((b"DateStyle", b"ISO"),), "nonce")
VERIFIER = scram.derive_verifier("secret", b"0123456789abcdef", 4096)

OK = messages.authentication(0)
KEY = messages.backend_key_data(7, b"\0\0\0\x09")
READY = messages.ready_for_query()
VERSION = messages.parameter_status(b"server_version", b"18.1")
NOTICE = messages.message(b"N", b"SNOTICE\0Mhello\0\0")


def row(*values: bytes) -> bytes:
    columns = b"".join(struct.pack("!i", len(value)) + value for value in values)
    return messages.message(b"D", struct.pack("!h", len(values)) + columns)


CAPACITY = messages.message(b"T") + row(b"100", b"3", b"2") + messages.message(b"C") + READY


class Server:
    """Answers a login from a script of bytes, message by message."""

    def __init__(self, script: bytes, credentials: Credentials = CREDENTIALS) -> None:
        self.script = script
        self.sent: list[bytes] = []
        self.steps = log_in(credentials)

    def next_message(self) -> tuple[int, bytes]:
        assert self.script, "the server has no more to say"
        (length,) = struct.unpack_from("!i", self.script, 1)
        kind, body = self.script[0], self.script[5 : length + 1]
        self.script = self.script[length + 1 :]
        return kind, body

    def answer(self, command: object) -> Any:
        if isinstance(command, Write):
            self.sent.append(command.data)
            return None
        if isinstance(command, Read):
            return self.next_message()
        assert isinstance(command, DeriveKeys)
        challenge = command.challenge
        return scram.derive_client_keys("secret", challenge.salt, challenge.iterations)

    def run(self) -> Greeting:
        answer: Any = None
        while True:
            try:
                command = self.steps.send(answer)
            except StopIteration as stop:
                greeting: Greeting = stop.value
                return greeting
            answer = self.answer(command)


class ScramServer(Server):
    """A server that checks the password; what follows its proof is the script."""

    def __init__(self, script: bytes, *, lies: bool = False) -> None:
        super().__init__(messages.authentication(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"))
        self.after = script
        self.lies = lies
        self.exchange = scram.ServerExchange([VERIFIER], "theirs")

    def answer(self, command: object) -> Any:
        answer = super().answer(command)
        if isinstance(command, Write) and command.data[:1] == b"p":
            if len(self.sent) == 2:
                parsed = messages.parse_sasl_initial_response(command.data[5:])
                assert parsed is not None
                assert parsed[0] == b"SCRAM-SHA-256"
                self.script += messages.authentication(11, self.exchange.first(parsed[1]))
            else:
                final = self.exchange.final(command.data[5:])
                if self.lies:
                    final = b"v=" + base64.b64encode(b"x" * 32)
                self.script += messages.authentication(12, final) + self.after
        return answer


def test_trusted() -> None:
    server = Server(OK + VERSION + KEY + READY + CAPACITY)
    greeting = server.run()
    assert greeting.parameters == {b"server_version": b"18.1"}
    assert (greeting.pid, greeting.secret) == (7, b"\0\0\0\x09")
    assert greeting.capacity == Capacity(100, 5)
    assert server.sent[0] == messages.startup(
        [(b"user", b"app"), (b"database", b"shop"), (b"DateStyle", b"ISO")]
    )
    assert server.sent[1].startswith(b"Q")
    assert server.script == b""


def test_scram() -> None:
    assert ScramServer(OK + KEY + READY + CAPACITY).run().capacity == Capacity(100, 5)


def test_names_keep_the_bytes_that_the_client_sent() -> None:
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    server = Server(OK + READY + CAPACITY, Credentials(name, "", name))
    server.run()
    assert b"user\0\xff\xfe\0database\0\xff\xfe\0" in server.sent[0]


def test_notices_are_passed_over_everywhere() -> None:
    script = NOTICE + OK + NOTICE + VERSION + NOTICE + KEY + READY + NOTICE + CAPACITY
    assert Server(script).run().capacity == Capacity(100, 5)


def test_without_a_cancel_key() -> None:
    assert Server(OK + READY + CAPACITY).run().secret is None


def test_a_long_cancel_key() -> None:
    key = messages.message(b"K", b"\0\0\0\1" + b"k" * 32)
    assert Server(OK + key + READY + CAPACITY).run().secret == b"k" * 32


def test_a_server_that_does_not_know_the_password_is_found_out() -> None:
    with pytest.raises(ServerProtocolError, match="SCRAM with the server failed"):
        ScramServer(OK + READY, lies=True).run()


def error(sqlstate: str, text: str = "no") -> bytes:
    return messages.error_response(ErrorFields("FATAL", sqlstate, text, "a hint"))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (messages.authentication(5, b"salt"), "authentication method 5"),
        (messages.authentication(3), "authentication method 3"),
        (messages.authentication(7), "authentication method 7"),
        (messages.authentication(10, b"OTHER\0\0"), "authentication method 10"),
    ],
)
def test_other_methods_are_refused_with_what_to_do(script: bytes, words: str) -> None:
    with pytest.raises(ServerRejected, match=words) as caught:
        Server(script).run()
    assert "scram-sha-256" in caught.value.hint
    assert not caught.value.transient


@pytest.mark.parametrize("sqlstate", ["57P03", "57P01", "53300", "53400", "08006", "58000"])
def test_refusals_that_pass(sqlstate: str) -> None:
    with pytest.raises(ServerUnavailable) as caught:
        Server(error(sqlstate)).run()
    assert caught.value.transient
    assert (caught.value.sqlstate, caught.value.message) == (sqlstate, "no")


@pytest.mark.parametrize("sqlstate", ["28000", "3D000", "42501", "0A000", "22023", "XX000"])
def test_refusals_for_good(sqlstate: str) -> None:
    with pytest.raises(ServerRejected) as caught:
        Server(error(sqlstate)).run()
    assert not isinstance(caught.value, WrongPassword)
    assert not caught.value.transient
    assert (caught.value.sqlstate, caught.value.hint) == (sqlstate, "a hint")


def test_a_wrong_password_is_a_kind_of_its_own() -> None:
    assert isinstance(refusal(ErrorFields("FATAL", "28P01", "no")), WrongPassword)


@pytest.mark.parametrize(
    "before", [b"", OK, OK + VERSION + KEY, OK + KEY + READY, OK + READY + messages.message(b"T")]
)
def test_an_error_at_any_point(before: bytes) -> None:
    with pytest.raises(ServerUnavailable, match="shutting down"):
        Server(before + error("57P03", "shutting down")).run()


@pytest.mark.parametrize(
    "script",
    [
        messages.message(b"D"),
        messages.message(b"R"),
        messages.message(b"R", b"\0"),
        OK + messages.message(b"D"),
        OK + messages.message(b"K", b"short"),
        OK + READY + READY,
        OK + READY + messages.message(b"T") + row(b"100") + READY,
        messages.authentication(10, b"SCRAM-SHA-256\0\0") + OK,
        messages.authentication(10, b"SCRAM-SHA-256\0\0") + messages.authentication(11, b"junk"),
    ],
)
def test_what_makes_no_sense_is_told_so(script: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        Server(script).run()
    assert isinstance(caught.value, ServerProtocolError)
