"""The configuration changes while clients are served: nothing restarts, nobody notices."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import psycopg
import pytest

from sluice_proxy.config import Certificate, ProxyConfig, TargetTLS, User, digest, dump
from sluice_testing.certificates import Authority, Trust
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import APP_PASSWORD, APP_USER, Postgres
from sluice_testing.proxy import ProxyProcess
from sluice_testing.raw import RawClient, Refused, query

NEW_PASSWORD = "new-app-secret"


def rotated(config: ProxyConfig, password: str, grace: float = 60) -> ProxyConfig:
    """What the operator writes after the Secret changed."""
    [user] = config.users
    fresh = replace(
        user,
        password=password,
        previous_password=user.password,
        previous_until=time.time() + grace,
    )
    return replace(config, users=(fresh,))


@pytest.fixture
def server(server: Postgres) -> Iterator[Postgres]:
    yield server
    server.execute(f"ALTER ROLE {APP_USER} PASSWORD '{APP_PASSWORD}'")


def change_on_server(server: Postgres, password: str) -> None:
    server.execute(f"ALTER ROLE {APP_USER} PASSWORD '{password}'")


class TestPassword:
    def test_both_passwords_are_good_during_the_grace(
        self, server: Postgres, proxy: ProxyProcess, door: Door
    ) -> None:
        change_on_server(server, NEW_PASSWORD)
        proxy.reload(rotated(proxy.config, NEW_PASSWORD))
        for password in (APP_PASSWORD, NEW_PASSWORD):
            with door.as_user(APP_USER, password).raw() as client:
                assert client.value("SELECT 1") == "1"
        with pytest.raises(Refused):
            door.as_user(APP_USER, "neither").raw()

    def test_the_previous_one_ends_with_the_grace(
        self, server: Postgres, proxy: ProxyProcess, door: Door
    ) -> None:
        change_on_server(server, NEW_PASSWORD)
        proxy.reload(rotated(proxy.config, NEW_PASSWORD, grace=-1))
        with pytest.raises(Refused) as refused:
            door.raw()
        assert refused.value.fields["C"] == "28P01"
        with door.as_user(APP_USER, NEW_PASSWORD).raw() as client:
            assert client.value("SELECT 1") == "1"

    def test_clients_that_are_in_stay_in(
        self, server: Postgres, proxy: ProxyProcess, door: Door
    ) -> None:
        with door.raw() as client, door.raw() as inside:
            inside.ask(query("BEGIN"))
            change_on_server(server, NEW_PASSWORD)
            proxy.reload(rotated(proxy.config, NEW_PASSWORD, grace=0))
            assert client.value("SELECT 1") == "1"
            assert inside.ask(query("COMMIT"))[-1].body == b"I"

    def test_new_server_connections_use_the_new_one(
        self, server: Postgres, proxy: ProxyProcess, door: Door
    ) -> None:
        with door.raw() as client:
            client.value("SELECT 1")
            change_on_server(server, NEW_PASSWORD)
            proxy.reload(rotated(proxy.config, NEW_PASSWORD))
            server.terminate_connections()
            assert client.value("SELECT 1") == "1"

    def test_the_server_before_the_secret(
        self, server: Postgres, proxy: ProxyProcess, door: Door
    ) -> None:
        """A login that the server refuses right then waits for the new configuration."""
        with door.raw() as client:
            client.value("SELECT 1")
            change_on_server(server, NEW_PASSWORD)
            server.terminate_connections()
            client.send(query("SELECT 'went on'"))
            assert client.silent_for(2)
            proxy.reload(rotated(proxy.config, NEW_PASSWORD))
            assert [m.row for m in client.read_until("Z") if m.kind == "D"] == [[b"went on"]]

    def test_the_secret_before_the_server(
        self, server: Postgres, proxy: ProxyProcess, door: Door
    ) -> None:
        """The new password is refused until the role is altered; the client waits."""
        with door.raw() as client:
            client.value("SELECT 1")
            proxy.reload(rotated(proxy.config, NEW_PASSWORD))
            server.terminate_connections()
            client.send(query("SELECT 'went on'"))
            if client.silent_for(2):
                change_on_server(server, NEW_PASSWORD)
            assert [m.row for m in client.read_until("Z") if m.kind == "D"] == [[b"went on"]]

    def test_a_password_that_stays_wrong_is_told(
        self, server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
    ) -> None:
        """Not a hang and not a lie: the server's own SQLSTATE within the borrow timeout."""
        config = make_config(server, borrow=2)
        proxy = start_proxy(config)
        change_on_server(server, NEW_PASSWORD)
        server.terminate_connections()
        with pytest.raises(Refused) as refused, door_of(proxy).raw() as client:
            client.value("SELECT 1")
        assert refused.value.fields["C"] in ("28P01", "08000")
        assert "password authentication failed" in " ".join(refused.value.fields.values())


@pytest.mark.parametrize("server_first", [True, False], ids=["server first", "Secret first"])
async def test_rotation_under_load(
    server: Postgres,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
    server_first: bool,
) -> None:
    """Server, Secret and clients change two seconds apart: nobody sees an error."""
    proxy = start_proxy(make_config(server, budget=5))
    clients = Clients(door_of(proxy))
    new = rotated(proxy.config, NEW_PASSWORD)
    steps = [
        lambda: change_on_server(server, NEW_PASSWORD),
        lambda: proxy.reload(new),
    ]
    workers = [asyncio.create_task(clients.work()) for _ in range(20)]
    for step in steps if server_first else reversed(steps):
        await asyncio.sleep(1)
        await asyncio.to_thread(step)
        # Connections die all the time; the worst moment for it is between the two steps.
        async with clients.between_transactions():
            await asyncio.to_thread(server.terminate_connections)
        await asyncio.sleep(1)
    clients.password = NEW_PASSWORD
    await asyncio.sleep(1)
    clients.running = False
    await asyncio.gather(*workers)
    assert clients.errors == []
    assert clients.logins > 50


class Clients:
    """Short-lived clients as functions would be: log in, one transaction, leave."""

    def __init__(self, door: Door):
        self.door = door
        self.password = APP_PASSWORD
        self.running = True
        self.logins = 0
        self.inside = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.errors: list[str] = []

    async def work(self) -> None:
        while self.running:
            await self.gate.wait()
            self.inside += 1
            try:
                await self.visit()
                self.logins += 1
            except psycopg.Error as error:
                self.errors.append(str(error))
            finally:
                self.inside -= 1
            await asyncio.sleep(0.02)

    async def visit(self) -> None:
        connection = await self.door.connect_async(password=self.password)
        async with connection, connection.transaction():
            await connection.execute("SELECT 1")

    @asynccontextmanager
    async def between_transactions(self) -> AsyncIterator[None]:
        """Nobody is inside: what happens now to the server connections is no client's loss."""
        self.gate.clear()
        while self.inside:
            await asyncio.sleep(0.01)
        yield
        self.gate.set()


class TestCertificate:
    def test_new_connections_see_the_new_one(
        self, proxy: ProxyProcess, door: Door, trust: Trust
    ) -> None:
        with tls_client(door) as (old, shown):
            leaf = trust.authority.issue("localhost", "127.0.0.1")
            assert serial(shown) != leaf.serial_number
            fresh = Certificate(leaf.chain, leaf.private_key)
            proxy.reload(replace(proxy.config, certificate=fresh))
            with tls_client(door) as (_, now_shown):
                assert serial(now_shown) == leaf.serial_number
            assert old.value("SELECT 'still here'") == "still here"

    def test_a_key_that_does_not_fit_changes_nothing(
        self, proxy: ProxyProcess, door: Door, trust: Trust
    ) -> None:
        one, other = (trust.authority.issue("localhost", "127.0.0.1") for _ in range(2))
        unfit = Certificate(one.chain, other.private_key)
        refused_config(proxy, dump(replace(proxy.config, certificate=unfit)), "certificate")
        with door.connect() as client:
            assert client.execute("SELECT 1").fetchone() == (1,)


@contextmanager
def tls_client(door: Door) -> Iterator[tuple[RawClient, dict[str, object]]]:
    with door.raw(tls=True) as client:
        yield client, client.peer_certificate()


def serial(certificate: dict[str, object]) -> int:
    return int(str(certificate["serialNumber"]), 16)


def refused_config(proxy: ProxyProcess, text: str, why: str) -> None:
    """Writes a bad configuration and waits until /state says `why`; the old one stays."""
    before = proxy.state()["config"]["hash"]
    proxy.volume.write(text)
    proxy.wait_until(lambda: why in (proxy.state()["config"]["error"] or ""), f"error: {why}")
    assert proxy.state()["config"]["hash"] == before
    assert proxy.get("/readyz").status == 200


class TestBadConfig:
    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "JSON"),
            ("{", "JSON"),
            ("[]", "object"),
            ('{"schema_version": 99}', "schema_version"),
            ('{"schema_version": 1, "name": "x", "targets": [], "users": []}', "targets"),
        ],
    )
    def test_the_last_good_one_keeps_serving(
        self, proxy: ProxyProcess, door: Door, text: str, why: str
    ) -> None:
        with door.raw() as client:
            refused_config(proxy, text, why)
            assert client.value("SELECT 1") == "1"
            with door.raw() as another:
                assert another.value("SELECT 1") == "1"

    def test_and_the_next_good_one_is_taken(self, proxy: ProxyProcess, door: Door) -> None:
        refused_config(proxy, "{", "JSON")
        proxy.reload(replace(proxy.config, idle_client_timeout_seconds=60))
        assert not proxy.state()["config"]["error"]

    def test_no_secret_is_ever_shown(self, proxy: ProxyProcess, door: Door) -> None:
        refused_config(proxy, dump(proxy.config)[:-1], "JSON")
        with pytest.raises(Refused):
            door.as_user(APP_USER, "guess-me-not").raw()
        shown = proxy.log + proxy.get("/state").text + proxy.get("/metrics").text
        assert proxy.config.certificate is not None
        for secret in (APP_PASSWORD, "guess-me-not", proxy.config.certificate.private_key[40:80]):
            assert secret not in shown


class TestOtherSettings:
    def test_the_hash_is_that_of_the_text(self, proxy: ProxyProcess) -> None:
        assert proxy.state()["config"]["hash"] == digest(dump(proxy.config))

    def test_a_new_user(self, server: Postgres, proxy: ProxyProcess, door: Door) -> None:
        server.execute("DROP ROLE IF EXISTS late")
        server.create_role("late", "late-secret")
        late = User("late", "late-secret", database="app")
        proxy.reload(replace(proxy.config, users=(*proxy.config.users, late)))
        with door.as_user("late", "late-secret").raw() as client:
            assert client.value("SELECT current_user") == "late"

    def test_a_user_taken_away_gets_in_no_more(
        self, server: Postgres, proxy: ProxyProcess, door: Door
    ) -> None:
        other = User("somebody", "else", database="app")
        proxy.reload(replace(proxy.config, users=(other,)))
        with pytest.raises(Refused) as refused:
            door.raw()
        assert refused.value.fields["C"] == "28P01"

    def test_a_smaller_budget(self, server: Postgres, proxy: ProxyProcess, door: Door) -> None:
        with door.crowd(5) as clients:
            for client in clients:
                client.ask(query("BEGIN"))
            assert server.sample_connections() == 5
            pool = replace(proxy.config.pool, max_connections_percent=2)
            proxy.reload(replace(proxy.config, pool=pool))
            for client in clients:
                assert client.ask(query("COMMIT"))[-1].body == b"I"
        proxy.wait_until(lambda: server.sample_connections() <= 2, "two connections")
        assert proxy.state()["pool"]["budget"] == 2

    def test_a_larger_budget_serves_who_waits(
        self, server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
    ) -> None:
        proxy = start_proxy(make_config(server, budget=1))
        door = door_of(proxy)
        with door.raw() as holder, door.raw() as waiter:
            holder.ask(query("BEGIN"))
            waiter.send(query("SELECT 'served'"))
            proxy.wait_for_pool(waiting=1)
            pool = replace(proxy.config.pool, max_connections_percent=2)
            proxy.reload(replace(proxy.config, pool=pool))
            assert [m.row for m in waiter.read_until("Z") if m.kind == "D"] == [[b"served"]]

    def test_tls_becomes_required(self, proxy: ProxyProcess, door: Door) -> None:
        with door.raw() as client:
            proxy.reload(replace(proxy.config, require_tls=True))
            assert client.value("SELECT 1") == "1"
            with pytest.raises(Refused, match="requires TLS"):
                door.raw()

    def test_another_bundle_of_cas(self, proxy: ProxyProcess, trust: Trust) -> None:
        """The same server: that it can be logged in to is never in doubt."""
        proxy.wait_until(lambda: proxy.health == ["Available"], "it can log in")
        for number in range(5):
            bundle = trust.authority.pem + Authority(f"the next one, {number}").pem
            proxy.reload(replace(proxy.config, target_tls=TargetTLS("VerifyFull", bundle)))
            assert proxy.health == ["Available"]

    def test_another_target(
        self, own_server: Postgres, proxy: ProxyProcess, door: Door, make_config: MakeConfig
    ) -> None:
        with door.raw() as client:
            first = client.value("SELECT system_identifier FROM pg_control_system()")
            proxy.reload(replace(proxy.config, targets=make_config(own_server).targets))
            second = client.value("SELECT system_identifier FROM pg_control_system()")
        assert first != second
