"""Each way in which a target can fail has its own reason in /state, with words that help."""

import socket
from collections.abc import Callable
from dataclasses import replace

import pytest

from sluice_proxy.config import PoolSettings, ProxyConfig, Target, TargetTLS, User
from sluice_testing.certificates import Authority, Leaf, Trust
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import APP_DATABASE, APP_PASSWORD, APP_USER, Postgres, free_port
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import Refused

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
        assert message == 'database "nowhere" does not exist'

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
