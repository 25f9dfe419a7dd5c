"""The proxy's login on a server as a conversation: what the server says, and what becomes of it."""

import base64
import struct
from hashlib import md5
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
    CHECK_INTERVAL,
    Channel,
    Credentials,
    DeriveKeys,
    Greeting,
    Read,
    Wishes,
    WishRefused,
    Write,
    WrongPassword,
    log_in,
    refusal,
)
from sluice_proxy.wire import messages, scram

IN_CLEAR = Channel()
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


def error(sqlstate: str, text: str = "no") -> bytes:
    return messages.error_response(ErrorFields("FATAL", sqlstate, text, "a hint", "a detail"))


class Server:
    """Answers a login from a script of bytes, message by message."""

    def __init__(
        self,
        script: bytes,
        credentials: Credentials = CREDENTIALS,
        channel: Channel = IN_CLEAR,
    ) -> None:
        self.script = script
        self.sent: list[bytes] = []
        self.steps = log_in(credentials, channel)

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
    """A server that checks the password; what follows its proof is the script.

    It offers `mechanisms`, and is bound to `binding` where -PLUS is among them.
    """

    def __init__(
        self,
        script: bytes,
        *,
        lies: bool = False,
        mechanisms: tuple[bytes, ...] = (b"SCRAM-SHA-256",),
        binding: bytes | None = None,
        channel: Channel = IN_CLEAR,
    ) -> None:
        offer = messages.authentication(10, b"\0".join((*mechanisms, b"\0")))
        super().__init__(offer, CREDENTIALS, channel)
        self.after = script
        self.lies = lies
        self.binding = binding
        self.chosen = b""

    def answer(self, command: object) -> Any:
        answer = super().answer(command)
        if isinstance(command, Write) and command.data[:1] == b"p":
            if len(self.sent) == 2:
                parsed = messages.parse_sasl_initial_response(command.data[5:])
                assert parsed is not None
                self.chosen, first = parsed
                assert first is not None
                plus = self.chosen == b"SCRAM-SHA-256-PLUS"
                self.exchange = scram.ServerExchange([VERIFIER], "theirs", self.binding, plus)
                self.script += messages.authentication(11, self.exchange.first(first))
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
        [(b"user", b"app"), (b"database", b"shop"), CHECK_INTERVAL, (b"DateStyle", b"ISO")],
        minor=2,
    )
    assert server.sent[1].startswith(b"Q")
    assert server.script == b""


def test_scram() -> None:
    assert ScramServer(OK + KEY + READY + CAPACITY).run().capacity == Capacity(100, 5)


BOTH = (b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256")
PLAIN = (b"SCRAM-SHA-256",)
OVER_TLS = Channel(encrypted=True, binding=b"hash")


@pytest.mark.parametrize(
    ("channel", "mechanisms", "bound", "chosen", "flag"),
    [
        (OVER_TLS, BOTH, b"hash", b"SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,"),
        (OVER_TLS, PLAIN, None, b"SCRAM-SHA-256", b"y,,"),
        # A certificate that the RFC defines no binding for: not "y", which were a lie.
        (Channel(encrypted=True), BOTH, b"hash", b"SCRAM-SHA-256", b"n,,"),
        (IN_CLEAR, PLAIN, None, b"SCRAM-SHA-256", b"n,,"),
    ],
)
def test_channel_binding(
    channel: Channel,
    mechanisms: tuple[bytes, ...],
    bound: bytes | None,
    chosen: bytes,
    flag: bytes,
) -> None:
    """Pitfall 46: bound wherever both can; and "y" where the server seems not to."""
    after = OK + READY + CAPACITY
    server = ScramServer(after, mechanisms=mechanisms, binding=bound, channel=channel)
    server.run()
    assert server.chosen == chosen
    assert flag + b"n=,r=nonce" in server.sent[1]


def test_a_list_without_plus_that_the_server_did_not_make_is_found_out() -> None:
    server = ScramServer(OK, mechanisms=PLAIN, binding=b"hash", channel=OVER_TLS)
    with pytest.raises(scram.ScramError, match="thinks the server does not"):
        server.run()


# PostgreSQL's own: SELECT 'md5' || md5(md5('secret' || 'app') || 'salt')
MD5 = b"md5" + md5(md5(b"secretapp").hexdigest().encode() + b"salt").hexdigest().encode()


def test_md5() -> None:
    server = Server(messages.authentication(5, b"salt") + OK + READY + CAPACITY)
    server.run()
    assert server.sent[1] == messages.message(b"p", MD5 + b"\0")


def test_cleartext_where_it_may_be_sent() -> None:
    script = messages.authentication(3) + OK + READY + CAPACITY
    server = Server(script, channel=Channel(cleartext=True))
    server.run()
    assert server.sent[1] == messages.message(b"p", b"secret\0")


@pytest.mark.parametrize("channel", [IN_CLEAR, Channel(encrypted=False, binding=b"hash")])
def test_a_password_is_never_sent_in_clear_unasked(channel: Channel) -> None:
    server = Server(messages.authentication(3), channel=channel)
    with pytest.raises(ServerRejected, match="password in clear") as caught:
        server.run()
    assert "targetTLS.mode" in caught.value.hint
    assert len(server.sent) == 1


def negotiate(minor: int, *options: bytes) -> bytes:
    return messages.negotiate_protocol_version(minor, list(options))


@pytest.mark.parametrize("minor", [0, 1])
def test_a_server_that_speaks_an_older_version(minor: int) -> None:
    """Pitfall 44: 3.2 is asked for; what the server can do is taken."""
    assert Server(negotiate(minor) + OK + KEY + READY + CAPACITY).run().secret == b"\0\0\0\x09"


@pytest.mark.parametrize(
    "nonsense",
    [negotiate(2), negotiate(3), messages.message(b"v", bytes(8)), messages.message(b"v")],
)
def test_a_server_that_negotiates_nonsense(nonsense: bytes) -> None:
    with pytest.raises(ServerProtocolError, match="version"):
        Server(nonsense + OK).run()


def test_a_server_negotiates_once() -> None:
    with pytest.raises(ServerProtocolError, match="unexpected message 'v'"):
        Server(negotiate(0) + negotiate(0) + OK).run()


@pytest.mark.parametrize("sqlstate", ["0A000", "08P01"])
def test_a_server_that_refuses_the_version_outright(sqlstate: str) -> None:
    refusal_of_version = error(sqlstate, "unsupported frontend protocol 3.2")
    with pytest.raises(WishRefused) as caught:
        Server(refusal_of_version).run()
    assert caught.value.less == Wishes(minor=0)
    with pytest.raises(ServerRejected):
        Server(refusal_of_version, channel=Channel(wishes=caught.value.less)).run()


def test_a_server_that_knows_3_0_alone_is_asked_for_that() -> None:
    server = Server(OK + READY + CAPACITY, channel=Channel(wishes=Wishes(minor=0)))
    server.run()
    assert server.sent[0][4:8] == b"\0\3\0\0"


UNKNOWN = 'unrecognized configuration parameter "client_connection_check_interval"'
UNABLE = "ungültiger Wert für Parameter »client_connection_check_interval«: »1000«"
POOLER = "unsupported startup parameter: client_connection_check_interval"


@pytest.mark.parametrize(
    "refusal_of_checks",
    [OK + error("42704", UNKNOWN), OK + VERSION + error("22023", UNABLE), error("08P01", POOLER)],
)
def test_a_server_that_cannot_look_after_its_clients(refusal_of_checks: bytes) -> None:
    with pytest.raises(WishRefused) as caught:
        Server(refusal_of_checks).run()
    assert caught.value.less == Wishes(checks=False)
    with pytest.raises(ServerRejected, match="client_connection_check_interval"):
        Server(refusal_of_checks, channel=Channel(wishes=Wishes(0, False))).run()
    server = Server(OK + READY + CAPACITY, channel=Channel(wishes=caught.value.less))
    server.run()
    assert CHECK_INTERVAL[0] not in server.sent[0]


@pytest.mark.parametrize(
    "own",
    [
        (b"client_connection_check_interval", b"5s"),
        (b"Client_Connection_Check_Interval", b"0"),
        (b"options", b"-c client_connection_check_interval=5s"),
        (b"options", b"-c work_mem=1MB --client-connection-check-interval=5s"),
    ],
)
def test_a_client_says_itself_how_often_it_is_looked_after(own: tuple[bytes, bytes]) -> None:
    server = Server(OK + READY + CAPACITY, Credentials("app", "", "shop", (own,)))
    server.run()
    assert server.sent[0] == messages.startup(
        [(b"user", b"app"), (b"database", b"shop"), own], minor=2
    )


def test_names_keep_the_bytes_that_the_client_sent() -> None:
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    server = Server(OK + READY + CAPACITY, Credentials(name, "", name))
    server.run()
    assert b"user\0\xff\xfe\0database\0\xff\xfe\0" in server.sent[0]


def test_notices_are_passed_over_everywhere() -> None:
    script = NOTICE + OK + NOTICE + VERSION + NOTICE + KEY + READY + NOTICE + CAPACITY
    assert Server(script).run().capacity == Capacity(100, 5)


def test_without_a_cancel_key() -> None:
    """Pitfall 40: there are servers that give none; nothing can be cancelled there, that is all."""
    assert Server(OK + READY + CAPACITY).run().secret is None


@pytest.mark.parametrize("size", [4, 32, 256])
def test_cancel_keys_of_any_size(size: int) -> None:
    """Pitfall 44."""
    key = messages.message(b"K", b"\0\0\0\1" + b"k" * size)
    assert Server(OK + key + READY + CAPACITY).run().secret == b"k" * size


def test_a_server_that_does_not_know_the_password_is_found_out() -> None:
    """Pitfall 49."""
    with pytest.raises(ServerProtocolError, match="SCRAM with the server failed"):
        ScramServer(OK + READY, lies=True).run()


@pytest.mark.parametrize("body", [b"", b"\0", b"Mno\0", b"C28000", b"\xff\xff"])
def test_an_error_without_its_fields_is_an_error(body: bytes) -> None:
    """Pitfall 49."""
    with pytest.raises(ServerRejected):
        Server(messages.message(b"E", body), channel=Channel(wishes=Wishes(minor=0))).run()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (messages.authentication(5, b"no salt"), "authentication method 5"),
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
    """Pitfall 45: the server's own SQLSTATE and words."""
    with pytest.raises(ServerRejected) as caught:
        Server(error(sqlstate), channel=Channel(wishes=Wishes(minor=0))).run()
    assert not isinstance(caught.value, WrongPassword)
    assert not caught.value.transient
    expected = ErrorFields("FATAL", sqlstate, "no", "a hint", "a detail")
    assert caught.value.fields() == expected


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
        OK + messages.message(b"K", b"\0\0\0\1" + b"k" * 257),
        messages.authentication(5, b"salt") + messages.authentication(5, b"salt"),
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
