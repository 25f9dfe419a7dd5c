"""A primary is demoted while its Service, for a while, still leads to it.

Pitfall 55: the pool connects again to what is now a standby, and would keep those connections
though the Service leads to the new primary at last.
"""

import contextlib
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice_proxy.config import Target, TargetTLS
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import wait_until
from sluice_testing.raw import RawClient, query


class Service(socketserver.ThreadingTCPServer):
    """One address, as a Service's: it leads each new connection to where `leads_to` says."""

    daemon_threads = True

    def __init__(self, leads_to: Postgres):
        super().__init__(("127.0.0.1", 0), _Relay)
        self.leads_to = leads_to
        self.port = int(self.server_address[1])


class _Relay(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Service)
        behind = self.server.leads_to
        with (
            contextlib.suppress(OSError),
            socket.create_connection((behind.host, behind.port)) as server,
        ):
            other = {self.request: server, server: self.request}
            while True:
                for readable in select.select(list(other), [], [])[0]:
                    data = readable.recv(65536)
                    if not data:
                        return
                    other[readable].sendall(data)


@pytest.fixture(scope="module")
def pair(servers: Any) -> Iterator[tuple[Postgres, Postgres]]:
    made = [servers.make(name, wal_level="replica") for name in ("demoted", "promoted")]
    for server in made:
        server.execute("CREATE TABLE kept (n int)", "GRANT ALL ON kept TO app", database="app")
    yield made[0], made[1]
    for server in made:
        server.destroy()


@pytest.fixture
def service(pair: tuple[Postgres, Postgres]) -> Iterator[Service]:
    with Service(pair[0]) as service:
        threading.Thread(target=service.serve_forever, args=(0.05,), daemon=True).start()
        yield service
        service.shutdown()


def demote(server: Postgres) -> None:
    """Comes back as a standby, as a failover manager would have it."""
    [folder] = server.fetch("SHOW data_directory")
    server.stop()
    (Path(folder) / "standby.signal").touch()
    server.start()


def insert(client: RawClient) -> str:
    """The SQLSTATE of what is wrong with it, or the command tag."""
    answer = client.ask(query("INSERT INTO kept VALUES (1)"))[0]
    return answer.fields["C"] if answer.kind == "E" else answer.text


def test_connections_leave_the_standby_for_the_new_primary(
    pair: tuple[Postgres, Postgres],
    service: Service,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
) -> None:
    demoted, promoted = pair
    config = make_config(
        demoted,
        budget=2,
        targets=(Target("127.0.0.1", service.port),),
        target_tls=TargetTLS("Require"),
    )
    proxy = start_proxy(config)
    door: Door = door_of(proxy)
    with door.crowd(2) as clients:
        assert [insert(client) for client in clients] == ["INSERT 0 1"] * 2
        demote(demoted)
        for client in clients:
            client.ask(query("BEGIN"))
        for client in clients:
            assert client.value("SELECT pg_is_in_recovery()") == "t"
            client.ask(query("COMMIT"))
        assert insert(clients[0]) == "25006"
        service.leads_to = promoted
        proxy.wait_until(
            lambda: [insert(client) for client in clients] == ["INSERT 0 1"] * 2, "both can write"
        )
        wait_until(lambda: demoted.sample_connections() == 0, "nothing is left on the standby")
