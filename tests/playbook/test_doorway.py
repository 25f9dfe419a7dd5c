"""A login driven by bytes: cut anywhere, ended anyhow, and counted as one thing."""

from collections.abc import Callable

import pytest

from sluice_proxy.errors import ProxyError
from sluice_proxy.metrics import Counters
from sluice_proxy.session.client_login import Door, Login
from sluice_proxy.session.doorway import Doorway, Inside
from sluice_proxy.wire import messages, scram
from sluice_proxy.wire.startup import CancelRequest
from sluice_testing.stage import FakeLoginPeer, fields, query

VERIFIER = scram.derive_verifier("secret", b"0123456789abcdef", 4096)
SSL = messages.SSL_REQUEST
STARTUP = messages.startup([(b"user", b"app")])


class Entrance:
    """A doorway and all that it may do."""

    def __init__(self, *, requires_tls: bool = False, offers_tls: bool = True) -> None:
        self.counters = Counters()
        self.logins: list[tuple[Login, bytes]] = []
        self.cancelled: list[tuple[CancelRequest, Callable[[], None]]] = []
        door = Door(offers_tls, requires_tls, lambda _: [VERIFIER], lambda: "servernonce")
        self.clients = 0
        inside = Inside(
            self.count,
            lambda _, login, ahead: self.logins.append((login, ahead)),
            lambda request, done: self.cancelled.append((request, done)),
        )
        self.doorway = Doorway(door, "context", inside, self.counters, 0.0)
        self.peer = FakeLoginPeer()
        self.doorway.peer = self.peer

    def count(self) -> None:
        self.clients += 1

    def sends(self, data: bytes, size: int = 1 << 20) -> None:
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            self.peer.received += len(piece)
            self.doorway.on_bytes(piece)

    def proves(self, password: str = "secret", ahead: bytes = b"", size: int = 1 << 20) -> None:
        client = scram.ClientExchange("clientnonce")
        self.sends(messages.sasl_initial_response(b"SCRAM-SHA-256", client.first()), size)
        said = self.peer.take()
        challenge = client.server_first(said[said.rindex(b"r=clientnonce") :])
        keys = scram.derive_client_keys(password, challenge.salt, challenge.iterations)
        self.sends(messages.message(b"p", client.final(keys)) + ahead, size)

    @property
    def failures(self) -> tuple[int, int]:
        return self.counters.client_auth_failures, self.counters.client_setup_failures


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_login_in_pieces_of_any_size(size: int) -> None:
    """Pitfall 42."""
    entrance = Entrance()
    entrance.sends(STARTUP, size)
    entrance.proves(size=size)
    [(login, ahead)] = entrance.logins
    assert (login.key.user, ahead) == ("app", b"")
    assert entrance.failures == (0, 0)


def test_what_is_sent_ahead_of_the_answer_is_handed_over() -> None:
    entrance = Entrance()
    entrance.sends(STARTUP)
    entrance.proves(ahead=query(b"SELECT 1"))
    assert entrance.logins[0][1] == query(b"SELECT 1")


def test_over_tls() -> None:
    entrance = Entrance(requires_tls=True)
    entrance.sends(SSL)
    assert entrance.peer.take() == b"S"
    entrance.peer.handshaker.on_secured("")
    entrance.sends(STARTUP)
    entrance.proves()
    assert entrance.logins[0][0].encrypted
    assert entrance.counters.client_tls_connections == 1


def test_bytes_before_the_handshake_are_never_taken_for_secured_ones() -> None:
    entrance = Entrance()
    entrance.sends(SSL + STARTUP)
    assert fields(entrance.peer.take())["M"] == "received unencrypted data after SSL request"
    assert entrance.peer.handshaker is None, "Pitfall 41"
    assert entrance.peer.closed
    assert entrance.failures == (0, 1)


def test_direct_tls() -> None:
    entrance = Entrance(requires_tls=True)
    entrance.doorway.on_direct_tls()
    assert entrance.peer.take() == b""
    entrance.peer.agreed = "postgresql"
    entrance.peer.handshaker.on_secured("")
    entrance.sends(STARTUP)
    entrance.proves()
    assert entrance.logins[0][0].encrypted
    assert entrance.counters.client_tls_connections == 1


@pytest.mark.parametrize("certificate", [False, True])
def test_direct_tls_that_is_none_of_ours_ends_without_a_word(certificate: bool) -> None:
    entrance = Entrance(offers_tls=certificate)
    entrance.doorway.on_direct_tls()
    if certificate:
        entrance.peer.agreed = "http/1.1"
        entrance.peer.handshaker.on_secured("")
    assert entrance.peer.take() == b""
    assert entrance.peer.closed
    entrance.doorway.on_closed()
    assert entrance.failures == (0, 1)


def test_a_handshake_that_fails_is_one_failure() -> None:
    entrance = Entrance()
    entrance.sends(SSL)
    entrance.peer.handshaker.on_secured("unsupported protocol")
    entrance.doorway.on_closed()
    assert entrance.doorway.done
    assert entrance.failures == (0, 1)


def test_a_cancel_request_is_handed_over_and_the_connection_ends_when_it_is_done() -> None:
    entrance = Entrance(requires_tls=True)
    entrance.sends(messages.cancel_request(7, b"key!") + b"more")
    [(request, done)] = entrance.cancelled
    assert request == CancelRequest(7, b"key!")
    entrance.sends(b"and more")
    assert not entrance.peer.closed, "the client waits for this to be sure"
    done()
    assert entrance.peer.take() == b""
    assert entrance.peer.closed
    entrance.doorway.on_closed()
    assert entrance.failures == (0, 0)


def test_a_wrong_password_is_a_failure_of_authentication_alone() -> None:
    entrance = Entrance()
    entrance.sends(STARTUP)
    entrance.proves("wrong")
    assert fields(entrance.peer.take())["C"] == "28P01"
    entrance.doorway.on_closed()
    assert entrance.failures == (1, 0)


def test_a_client_in_clear_where_tls_is_required_is_one_too() -> None:
    entrance = Entrance(requires_tls=True)
    entrance.sends(STARTUP)
    assert fields(entrance.peer.take())["M"] == "This RDS Proxy requires TLS connections."
    assert entrance.failures == (1, 0)


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        bytes(100),
        STARTUP + b"Q\0\0\0\x04",
        STARTUP + b"p\0\x10\0\0",
        STARTUP + b"p\0\0\0\3",
        STARTUP + b"p\0\0\0\x08junk",
        SSL[:4] + b"\0\1\0\0",
    ],
)
def test_noise_is_one_failure_with_an_answer(noise: bytes) -> None:
    entrance = Entrance()
    entrance.sends(noise)
    assert fields(entrance.peer.take())["C"] in ("08P01", "0A000")
    assert entrance.peer.closed
    entrance.doorway.on_closed()
    assert entrance.failures == (0, 1)


def test_who_goes_in_the_middle_is_a_failure_and_a_probe_is_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Pitfall 42: nor is a probe worth a line in the log."""
    gone, probe = Entrance(), Entrance()
    gone.sends(STARTUP[:5])
    for entrance in (gone, probe):
        entrance.doorway.on_closed()
        assert entrance.doorway.done
    assert gone.failures == (0, 1)
    assert probe.failures == (0, 0)
    assert caplog.records == []


def test_who_takes_too_long_is_told_and_counted_once() -> None:
    entrance = Entrance()
    entrance.sends(STARTUP)
    entrance.doorway.end(ProxyError("canceling authentication due to timeout"))
    entrance.doorway.end(ProxyError("again"))
    assert fields(entrance.peer.take())["M"].startswith("canceling")
    entrance.doorway.on_closed()
    assert entrance.failures == (0, 1)


def test_a_handshake_that_ends_after_the_login_was_given_up_changes_nothing() -> None:
    entrance = Entrance()
    entrance.sends(SSL)
    entrance.doorway.end(ProxyError("too late"))
    entrance.peer.handshaker.on_secured("")
    assert entrance.doorway.done
    assert entrance.logins == []
