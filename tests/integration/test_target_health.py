"""Each way in which a target can fail has its own reason in /state, with words that help."""

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from sluice_proxy.config import PoolSettings, ProxyConfig, Target, TargetTLS, User
from sluice_testing.certificates import Authority, Leaf, Trust
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import APP_DATABASE, APP_PASSWORD, APP_USER, Postgres, free_port
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import Refused, query

Told = Callable[[ProxyConfig], tuple[str, str]]


@pytest.fixture
def told(start_proxy: StartProxy) -> Told:
    """The reason and the message of a proxy's only target, which is Unavailable."""

    def tell(config: ProxyConfig) -> tuple[str, str]:
        proxy = start_proxy(config, ready=False)
        proxy.wait_until(lambda: proxy.health == ["Unavailable"], "the target is Unavailable")
        [target] = proxy.state()["targets"]
        return target["reason"], target["message"]

    return tell


class TestUnreachable:
    def test_nobody_listens(self, server: Postgres, make_config: MakeConfig, told: Told) -> None:
        port = free_port()
        reason, message = told(make_config(server, targets=(Target("127.0.0.1", port),)))
        assert reason == "Unreachable"
        assert message == f"cannot reach 127.0.0.1:{port}: Connection refused"

    def test_no_route(self, server: Postgres, make_config: MakeConfig, told: Told) -> None:
        # An address of no protocol: RFC 1112, 4 has 240.0.0.0/4 "reserved".
        reason, message = told(make_config(server, targets=(Target("255.255.255.255", 5432),)))
        assert reason == "Unreachable"
        assert message.startswith("cannot reach 255.255.255.255:5432: ")

    def test_it_takes_connections_and_says_nothing(
        self, server: Postgres, make_config: MakeConfig, start_proxy: StartProxy
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            target = Target("127.0.0.1", silent.getsockname()[1])
            proxy = start_proxy(make_config(server, targets=(target,)), ready=False)
            proxy.wait_until(lambda: proxy.health == ["Unavailable"], "it gives up", 25.0)
            [state] = proxy.state()["targets"]
        assert (state["reason"], state["message"]) == ("Unreachable", "the server does not answer")


def test_a_host_without_address(server: Postgres, make_config: MakeConfig, told: Told) -> None:
    """RFC 6761, 6.4: names under `invalid` never have one."""
    reason, message = told(make_config(server, targets=(Target("db.invalid"),)))
    assert reason == "HostNotFound"
    assert message.startswith("cannot look up db.invalid: ")


class TestTLS:
    @pytest.fixture
    def shows(self, own_server: Postgres) -> Callable[[Leaf | None], Postgres]:
        """A server with this certificate; without one it speaks no TLS."""

        def restarted(leaf: Leaf | None) -> Postgres:
            if leaf is None:
                own_server.settings["ssl"] = "off"
            else:
                own_server.use_certificate(leaf)
            own_server.restart()
            return own_server

        return restarted

    @pytest.mark.parametrize("mode", ["Require", "VerifyFull"])
    def test_the_server_speaks_none(
        self,
        shows: Callable[[Leaf | None], Postgres],
        make_config: MakeConfig,
        told: Told,
        trust: Trust,
        mode: str,
    ) -> None:
        tls = TargetTLS(mode, trust.authority.pem)  # type: ignore[arg-type]
        reason, message = told(make_config(shows(None), target_tls=tls))
        assert reason == "TLSRefused"
        assert message == "the server does not support TLS, which targetTLS.mode requires"

    def test_another_authority(self, server: Postgres, make_config: MakeConfig, told: Told) -> None:
        tls = TargetTLS("VerifyFull", Authority("another").pem)
        reason, message = told(make_config(server, target_tls=tls))
        assert reason == "CertificateInvalid"
        assert "unable to get local issuer certificate" in message

    @pytest.mark.parametrize(
        ("name", "days", "words"),
        [
            ("elsewhere.example", 30, "certificate is not valid for '127.0.0.1'"),
            ("127.0.0.1", -0.1, "certificate has expired"),
        ],
        ids=["another name", "expired"],
    )
    def test_a_certificate_that_does_not_hold(
        self,
        shows: Callable[[Leaf | None], Postgres],
        make_config: MakeConfig,
        told: Told,
        trust: Trust,
        name: str,
        days: float,
        words: str,
    ) -> None:
        server = shows(trust.authority.issue(name, days=days))
        reason, message = told(make_config(server))
        assert reason == "CertificateInvalid"
        assert words in message


class TestRefused:
    def test_a_wrong_password(self, server: Postgres, make_config: MakeConfig, told: Told) -> None:
        users = (User(APP_USER, "wrong", database=APP_DATABASE),)
        reason, message = told(make_config(server, users=users))
        assert reason == "AuthFailure"
        assert message == 'password authentication failed for user "app"'

    def test_a_password_that_turns_wrong_before_any_client_comes(self, proxy: ProxyProcess) -> None:
        proxy.wait_until(lambda: proxy.health == ["Available"], "it can log in")
        proxy.reload(replace(proxy.config, users=(User(APP_USER, "wrong", database=APP_DATABASE),)))
        proxy.wait_until(lambda: proxy.health == ["Unavailable"], "it cannot any more")
        (target,) = proxy.state()["targets"]
        assert target["reason"] == "AuthFailure"

    def test_a_database_that_does_not_exist(
        self, server: Postgres, make_config: MakeConfig, told: Told
    ) -> None:
        users = (User(APP_USER, APP_PASSWORD, database="nowhere"),)
        reason, message = told(make_config(server, users=users))
        assert reason == "DatabaseNotFound"
        assert message == 'role "app": database "nowhere" does not exist'

    def test_a_database_that_does_not_exist_beside_one_that_does(
        self, server: Postgres, proxy: ProxyProcess, door: Door
    ) -> None:
        """Whoever asks for it is told; the target is well all the same."""
        with pytest.raises(Refused) as refused:
            replace(door, database="nowhere").raw()
        assert refused.value.fields["C"] == "3D000"
        assert proxy.health == ["Available"]

    def test_a_server_that_is_full(
        self, server: Postgres, make_config: MakeConfig, told: Told
    ) -> None:
        server.create_role("crowded", "secret")
        server.execute("ALTER ROLE crowded CONNECTION LIMIT 0")
        users = (User("crowded", "secret", database=APP_DATABASE),)
        reason, message = told(make_config(server, users=users))
        assert reason == "TooManyConnections"
        assert message == 'too many connections for role "crowded"'


def tells(proxy: ProxyProcess, reason: str) -> None:
    """Waits until /state has this reason."""
    proxy.wait_until(lambda: proxy.state()["targets"][0]["reason"] == reason, reason)


class TestWithoutClients:
    """A server connection that ends is cause to look whether there can be others."""

    def test_a_password_that_changes_on_the_server_alone(
        self, server: Postgres, make_config: MakeConfig, start_proxy: StartProxy
    ) -> None:
        server.create_role("turned", "old")
        users = (User("turned", "old", database=APP_DATABASE),)
        proxy = start_proxy(make_config(server, users=users))
        server.execute("ALTER ROLE turned PASSWORD 'new'")
        server.terminate_connections("turned")
        tells(proxy, "AuthFailure")
        server.execute("ALTER ROLE turned PASSWORD 'old'")
        proxy.wait_until(lambda: proxy.health == ["Available"], "the password is good again")

    def test_a_server_that_only_ends_idle_sessions(
        self, server: Postgres, proxy: ProxyProcess
    ) -> None:
        """It is well all along; what no client used is asked after once and let go then."""

        def asked() -> float:
            return proxy.metrics()["sluice_server_connections_requested_total"]

        for times in (1, 2):
            proxy.wait_until(lambda times=times: asked() == times, f"it has asked {times} times")
            proxy.wait_for_pool(open=1, borrowed=0)
            server.terminate_connections()
        proxy.wait_for_pool(open=0)
        time.sleep(1.5)
        assert (proxy.health, asked()) == (["Available"], 2)


class TestOneRoleOfTwo:
    """It is told of until it gets in, whatever becomes of the other."""

    @pytest.fixture(params=["first", "last"])
    def other(
        self,
        server: Postgres,
        make_config: MakeConfig,
        start_proxy: StartProxy,
        request: pytest.FixtureRequest,
    ) -> Iterator[Callable[[User], ProxyProcess]]:
        """A proxy for this role and `app`, in either order; the role is on the server then."""

        def beside_app(user: User) -> ProxyProcess:
            app = User(APP_USER, APP_PASSWORD, database=APP_DATABASE)
            users = (user, app) if request.param == "first" else (app, user)
            return start_proxy(make_config(server, users=users), ready=False)

        server.create_role("reports", "secret")
        yield beside_app
        server.execute("DROP DATABASE IF EXISTS archive WITH (FORCE)", "DROP ROLE reports")

    def test_it_may_have_no_connection(
        self, server: Postgres, other: Callable[[User], ProxyProcess], door_of: DoorOf
    ) -> None:
        server.execute("ALTER ROLE reports CONNECTION LIMIT 0")
        proxy = other(User("reports", "secret", database=APP_DATABASE))
        self.stays(proxy, door_of(proxy), "TooManyConnections")
        server.execute("ALTER ROLE reports CONNECTION LIMIT -1")
        proxy.wait_until(lambda: proxy.health == ["Available"], "it may have some now")

    def test_its_database_does_not_exist(
        self, server: Postgres, other: Callable[[User], ProxyProcess], door_of: DoorOf
    ) -> None:
        proxy = other(User("reports", "secret", database="archive"))
        self.stays(proxy, door_of(proxy), "DatabaseNotFound")
        server.execute("CREATE DATABASE archive")
        proxy.wait_until(lambda: proxy.health == ["Available"], "there is one now")

    @staticmethod
    def stays(proxy: ProxyProcess, door: Door, reason: str) -> None:
        """Also behind logins of the other role on the server."""
        tells(proxy, reason)
        with door.crowd(3) as clients:
            for client in clients:
                client.ask(query("BEGIN"))
            assert proxy.state()["pool"]["borrowed"] == 3
            [target] = proxy.state()["targets"]
        assert (target["health"], target["reason"]) == ("Unavailable", reason)
        assert "reports" in target["message"]


class TestALimit:
    def test_one_that_is_used_up_is_no_failure(
        self, server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
    ) -> None:
        """Clients of the role take turns with what it has."""
        server.create_role("few", "secret")
        server.execute("ALTER ROLE few CONNECTION LIMIT 1")
        users = (User("few", "secret", database=APP_DATABASE),)
        proxy = start_proxy(make_config(server, users=users))
        door = door_of(proxy).as_user("few", "secret")
        with door.raw() as holder, door.raw() as waiter:
            holder.ask(query("BEGIN"))
            waiter.send(query("SELECT 'at last'"))
            metric = "sluice_server_connections_failed_total"
            proxy.wait_until(lambda: proxy.metrics()[metric], "it gets no second one")
            assert proxy.health == ["Available"]
            holder.ask(query("COMMIT"))
            assert [m.row for m in waiter.read_until("Z") if m.kind == "D"] == [[b"at last"]]


class TestInitQuery:
    def test_one_that_fails(self, server: Postgres, make_config: MakeConfig, told: Told) -> None:
        pool = PoolSettings(5, init_query="SELECT * FROM nowhere")
        reason, message = told(make_config(server, pool=pool))
        assert reason == "InitQueryFailed"
        assert 'relation "nowhere" does not exist' in message

    def test_one_that_does_not_end_holds_its_share_of_the_budget(
        self,
        server: Postgres,
        make_config: MakeConfig,
        start_proxy: StartProxy,
        door_of: DoorOf,
    ) -> None:
        """The server goes on running it: until it has let go, nobody else may have the place."""
        deaf = "SET client_connection_check_interval = 0; SELECT pg_sleep(17.5)"
        pool = PoolSettings(1, 1, init_query=deaf)
        proxy = start_proxy(make_config(server, pool=pool), ready=False)
        proxy.wait_until(lambda: proxy.health == ["Unavailable"], "it gives up", 25.0)
        [target] = proxy.state()["targets"]
        assert target["reason"] == "InitQueryFailed"
        assert "spec.connectionPool.initQuery did not end within 15 s" in target["message"]
        assert (proxy.state()["pool"]["open"], server.sample_connections()) == (1, 1)
        wait_until(lambda: server.sample_connections() == 0, "the server has let go")
        proxy.wait_for_pool(open=0)
