"""Who is at the door: who of them is a client, and for how long."""

import pytest

from sluice_proxy.errors import ShuttingDown
from sluice_proxy.metrics import Counters
from sluice_proxy.session.client_login import Door
from sluice_proxy.session.doorway import LOGIN_TIMEOUT, Doorway, Inside
from sluice_proxy.session.logins import Logins
from sluice_proxy.wire import messages, scram
from sluice_testing.raw import GSS_ENCRYPTION_REQUEST
from sluice_testing.stage import FakeLoginPeer, fields

VERIFIER = scram.derive_verifier("secret", b"0123456789abcdef", 4096)
STARTUP = messages.startup([(b"user", b"app")])
CANCEL = messages.cancel_request(7, b"key!")


class Hall:
    """Logins, the time, and how many clients have come."""

    def __init__(self) -> None:
        self.now = 0.0
        self.came = 0
        self.counters = Counters()
        inside = Inside(self.count, lambda *_: None, lambda *_: None)
        self.logins = Logins(inside, self.counters, lambda: self.now)
        door = Door(True, False, lambda _: [VERIFIER], lambda: "servernonce")
        self.logins.adopt(door, "context")

    def count(self) -> None:
        self.came += 1

    def accepts(self, *said: bytes) -> tuple[Doorway, FakeLoginPeer]:
        doorway, peer = self.logins.begin(), FakeLoginPeer()
        doorway.peer = peer
        for data in said:
            peer.received += len(data)
            doorway.on_bytes(data)
        return doorway, peer

    @property
    def seen(self) -> tuple[int, bool, bool]:
        """Clients that came, whether one is logging in, whether somebody is silent."""
        return self.came, self.logins.under_way, self.logins.silent


def test_who_only_connects_is_no_client() -> None:
    hall = Hall()
    doorway, _ = hall.accepts()
    assert hall.seen == (0, False, True)
    doorway.on_closed()
    assert hall.seen == (0, False, False)
    assert hall.counters.clients_accepted == 1


@pytest.mark.parametrize("packet", [messages.SSL_REQUEST, GSS_ENCRYPTION_REQUEST, STARTUP])
def test_a_client_is_one_from_its_first_whole_packet_on(packet: bytes) -> None:
    hall = Hall()
    doorway, _ = hall.accepts(packet[:-1])
    assert hall.seen == (0, False, True)
    doorway.on_bytes(packet[-1:])
    assert hall.seen == (1, True, False)
    doorway.on_closed()
    assert hall.seen == (1, False, False)


def test_one_client_is_counted_once_whatever_it_asks_for() -> None:
    hall = Hall()
    hall.accepts(GSS_ENCRYPTION_REQUEST, messages.SSL_REQUEST)
    hall.accepts(GSS_ENCRYPTION_REQUEST + STARTUP)
    assert hall.came == 2


def test_a_tls_handshake_is_a_clients() -> None:
    hall = Hall()
    doorway, peer = hall.accepts()
    doorway.on_direct_tls()
    assert hall.seen == (1, True, False)
    assert peer.contexts == ["context"]


@pytest.mark.parametrize("said", [CANCEL, b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x08\0\1\0\0"])
def test_a_cancel_request_and_noise_are_no_clients(said: bytes) -> None:
    hall = Hall()
    hall.accepts(said)
    assert hall.seen == (0, False, False)


@pytest.mark.parametrize("said", [b"", STARTUP])
def test_nobody_stays_at_the_door(said: bytes) -> None:
    hall = Hall()
    _, peer = hall.accepts(said)
    hall.now = LOGIN_TIMEOUT
    hall.logins.expire()
    assert not peer.closed
    hall.now += 1
    hall.logins.expire()
    assert fields(peer.take())["C"] == "08006"
    assert hall.seen[1:] == (False, False)


def test_everybody_is_told_at_the_end() -> None:
    hall = Hall()
    peers = [hall.accepts(said)[1] for said in (b"", STARTUP, messages.SSL_REQUEST)]
    hall.logins.end(ShuttingDown())
    assert [fields(peer.take())["C"] for peer in peers] == ["57P01"] * 3


def test_each_begins_under_the_configuration_of_its_time() -> None:
    hall = Hall()
    before, old = hall.accepts()
    hall.logins.adopt(Door(True, False, lambda _: [VERIFIER], lambda: "nonce"), "new context")
    after, new = hall.accepts()
    for doorway in (before, after):
        doorway.on_direct_tls()
    assert (old.contexts, new.contexts) == (["context"], ["new context"])
