"""The target's name comes to lead elsewhere: connections follow it, never in a transaction.

Pitfall 59: DNS records and endpoints change, and what was opened before must drain.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sluice_proxy.config import Target, TargetTLS
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import query

PROGRAM = Path(__file__).with_name("named_by_file.py")
SECOND = "127.0.0.2"
# Longer than the proxy takes between two looks at the name.
A_LOOK = 6.5
WHERE = "SELECT system_identifier FROM pg_control_system()"


@dataclass
class Name:
    """`db.test`, as the proxy's resolver knows it."""

    file: Path

    def leads_to(self, *addresses: str) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text("\n".join(addresses))
        fresh.rename(self.file)


@pytest.fixture(scope="module")
def second(servers: Any, own_server: Postgres) -> Iterator[Postgres]:
    """On the port of `own_server`, at another address."""
    server = servers.make("second")
    server.stop()
    server.host, server.port = SECOND, own_server.port
    server.settings["listen_addresses"] = SECOND
    server.start()
    yield server
    server.destroy()


@pytest.fixture
def first(own_server: Postgres, second: Postgres) -> Postgres:
    if not own_server.running:
        own_server.start()
    return own_server


@pytest.fixture
def name(tmp_path: Path, first: Postgres) -> Name:
    made = Name(tmp_path / "records")
    made.leads_to(first.host)
    return made


@pytest.fixture
def proxy(
    first: Postgres, name: Name, make_config: MakeConfig, start_proxy: StartProxy
) -> ProxyProcess:
    config = make_config(
        first,
        budget=2,
        targets=(Target("db.test", first.port),),
        target_tls=TargetTLS("Require"),
    )
    return start_proxy(config, program=(str(PROGRAM), str(name.file)))


@pytest.fixture
def door(proxy: ProxyProcess, door_of: DoorOf) -> Door:
    return door_of(proxy)


def test_connections_to_an_old_address_end_when_nobody_uses_them(
    first: Postgres, second: Postgres, name: Name, door: Door
) -> None:
    with door.raw() as inside, door.raw() as outside:
        inside.ask(query("BEGIN"))
        before = inside.value(WHERE)
        assert outside.value(WHERE) == before
        name.leads_to(second.host)
        wait_until(lambda: first.sample_connections() == 1, "the idle one ends")
        assert inside.value(WHERE) == before, "a transaction stays where it is"
        assert outside.value(WHERE) != before
        inside.ask(query("COMMIT"))
        wait_until(lambda: first.sample_connections() == 0, "the other one ends behind it")
        assert inside.value(WHERE) == outside.value(WHERE) != before


def test_no_answer_and_more_answers_change_nothing(
    first: Postgres, second: Postgres, name: Name, door: Door
) -> None:
    with door.raw() as client:
        pid = client.value("SELECT pg_backend_pid()")
        for addresses in ((), (second.host, first.host)):
            name.leads_to(*addresses)
            assert client.silent_for(A_LOOK)
            assert client.value("SELECT pg_backend_pid()") == pid


def test_a_failover_by_a_changed_name(
    first: Postgres, second: Postgres, name: Name, door: Door
) -> None:
    """The primary is gone, and its name leads to another: clients wait and go on there."""
    with door.raw() as client:
        before = client.value(WHERE)
        first.crash()
        client.send(query(WHERE))
        assert client.silent_for(0.5), "it waits"
        name.leads_to(second.host)
        rows = [message.row for message in client.read_until("Z") if message.kind == "D"]
        assert rows
        assert rows != [[str(before).encode()]]
