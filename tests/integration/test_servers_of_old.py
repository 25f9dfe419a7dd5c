"""Servers that know protocol 3.0 alone, and servers that are slow to take a CancelRequest."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from sluice_proxy.config import Target, TargetTLS
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import wait_until
from sluice_testing.raw import (
    PROTOCOL_3_0,
    PROTOCOL_3_2,
    Refused,
    cancel_request,
    message,
    query,
    string,
)

CANCEL = 80877102
CHECKS = "client_connection_check_interval"


@dataclass
class Frontier:
    """Stands before a server, in clear, and looks at the first packet of each connection."""

    server: Postgres
    listener: socket.socket
    refuse: bytes = b""
    refuse_checks: bytes = b""
    packets: list[bytes] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    hold_cancels: threading.Event = field(default_factory=threading.Event)
    cancels: int = 0
    together: int = 0
    most_together: int = 0

    @property
    def target(self) -> Target:
        host, port = self.listener.getsockname()
        return Target(host, port)

    def serve(self) -> None:
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._open, args=(accepted,), daemon=True).start()

    def _open(self, accepted: socket.socket) -> None:
        with accepted, socket.create_connection((self.server.host, self.server.port)) as onward:
            head = accepted.recv(8, socket.MSG_WAITALL)
            length, code = struct.unpack("!ii", head)
            packet = head + accepted.recv(length - 8, socket.MSG_WAITALL)
            if code == CANCEL:
                self._cancel(onward, packet)
                return
            self.versions.append(code)
            self.packets.append(packet)
            if code != PROTOCOL_3_0 and self.refuse:
                accepted.sendall(self.refuse)
                return
            if CHECKS.encode() in packet and self.refuse_checks:
                accepted.sendall(self.refuse_checks)
                return
            onward.sendall(packet)
            threading.Thread(target=pump, args=(accepted, onward), daemon=True).start()
            pump(onward, accepted)

    def _cancel(self, onward: socket.socket, packet: bytes) -> None:
        self.cancels += 1
        self.together += 1
        self.most_together = max(self.together, self.most_together)
        self.hold_cancels.wait(3)
        self.together -= 1
        onward.sendall(packet)
        onward.recv(1)


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


@pytest.fixture
def frontier(server: Postgres) -> Iterator[Frontier]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        frontier = Frontier(server, listener)
        threading.Thread(target=frontier.serve, daemon=True).start()
        yield frontier
        frontier.hold_cancels.set()
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def before(
    frontier: Frontier,
    server: Postgres,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
) -> Callable[[], Door]:
    """Starts a proxy in front of it, and gives its door."""

    def start() -> Door:
        config = make_config(
            server, borrow=1, targets=(frontier.target,), target_tls=TargetTLS("Disable")
        )
        return door_of(start_proxy(config))

    return start


def error(sqlstate: str, text: str) -> bytes:
    fields = ("SFATAL", "VFATAL", f"C{sqlstate}", f"M{text}")
    return message("E", *(string(part) for part in fields), b"\0")


@pytest.mark.parametrize("sqlstate", ["0A000", "08P01"])
def test_a_server_that_refuses_3_2_outright_is_spoken_to_in_3_0(
    frontier: Frontier, before: Callable[[], Door], sqlstate: str
) -> None:
    """Pitfall 44: found out once, and remembered."""
    frontier.refuse = error(sqlstate, "unsupported frontend protocol 3.2")
    door = before()
    with door.crowd(3) as clients:
        for client in clients:
            client.ask(query("BEGIN"))
        assert [client.value("SELECT 1") for client in clients] == ["1"] * 3
    assert frontier.versions[0] == PROTOCOL_3_2
    assert frontier.versions.count(PROTOCOL_3_2) == 1
    assert frontier.versions.count(PROTOCOL_3_0) >= 3


@pytest.mark.parametrize(
    ("sqlstate", "text"),
    [
        ("42704", f'unrecognized configuration parameter "{CHECKS}"'),
        ("22023", f'invalid value for parameter "{CHECKS}": 1000'),
        ("08P01", f"unsupported startup parameter: {CHECKS}"),
    ],
)
def test_a_server_that_cannot_look_whether_its_client_is_there_is_reached(
    frontier: Frontier, before: Callable[[], Door], sqlstate: str, text: str
) -> None:
    """PostgreSQL before 14, or not on Linux; or a pooler. Found out once, and remembered."""
    frontier.refuse_checks = error(sqlstate, text)
    door = before()
    with door.crowd(3) as clients:
        for client in clients:
            client.ask(query("BEGIN"))
        assert [client.value(f"SHOW {CHECKS}") for client in clients] == ["0"] * 3
    assert [CHECKS.encode() in packet for packet in frontier.packets[:2]] == [True, False]
    assert sum(CHECKS.encode() in packet for packet in frontier.packets) == 1
    assert len(frontier.packets) >= 4
    assert frontier.versions.count(PROTOCOL_3_0) == 0
    with pytest.raises(Refused, match=sqlstate):
        door.raw(**{CHECKS: "2s"})


def test_a_server_that_is_as_old_as_can_be(frontier: Frontier, before: Callable[[], Door]) -> None:
    frontier.refuse = error("0A000", "unsupported frontend protocol 3.2")
    frontier.refuse_checks = error("42704", f'unrecognized configuration parameter "{CHECKS}"')
    with before().raw() as client:
        assert client.value(f"SHOW {CHECKS}") == "0"
    assert frontier.versions.count(PROTOCOL_3_2) == 1


def test_a_herd_of_cancels_costs_the_server_one_process_at_a_time(
    frontier: Frontier, before: Callable[[], Door], server: Postgres
) -> None:
    """Pitfalls 37 and 40: bounded, and the next client's query is not hit by the last of them."""
    door = before()
    with door.raw() as client, door.raw() as other:
        client.send(query("SELECT pg_sleep(60)"))
        wait_until(lambda: sleepers(server) == 1, "the query runs")
        errands = [door.knock() for _ in range(20)]
        for errand in errands:
            errand.send(cancel_request(client.backend_key))
        wait_until(lambda: frontier.cancels == 1, "the first is there")
        frontier.hold_cancels.set()
        for errand in errands:
            assert errand.read_bytes() == b""
            errand.close()
        codes = [m.fields["C"] for m in client.read_until("Z") if m.kind == "E"]
        assert codes == ["57014"]
        assert other.value("SELECT 'not hit'") == "not hit"
    assert frontier.most_together == 1
    assert frontier.cancels <= 3


def sleepers(server: Postgres) -> int:
    [count] = server.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'PgSleep'"
    )
    return int(count)
