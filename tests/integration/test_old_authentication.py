"""Servers that ask for the password by md5, in clear, or not at all."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sluice_proxy.config import ProxyConfig, TargetTLS, User
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.raw import Refused

METHODS = ("md5", "password", "trust", "scram-sha-256")
# Of the roles of this module, each named after its method.
SECRET = "pässword 'of' old"


@pytest.fixture(scope="module")
def old(own_server: Postgres) -> Iterator[Postgres]:
    """A server where each role logs in by the method that it is named after."""
    own_server.execute(
        *(
            statement
            for method in METHODS
            for statement in (
                f"SET password_encryption = '{'md5' if method == 'md5' else 'scram-sha-256'}'; "
                f"CREATE ROLE \"{method}\" LOGIN PASSWORD '{SECRET.replace(chr(39), chr(39) * 2)}'",
            )
        )
    )
    lines = (f'host all "{method}" all {method}' for method in METHODS)
    own_server.use_methods(*lines, "host all app all reject")
    own_server.restart()
    return own_server


def config_for(config: ProxyConfig, method: str) -> ProxyConfig:
    return replace(config, users=(User(method, SECRET, database="app"),))


@pytest.mark.parametrize("method", METHODS)
def test_over_tls(
    old: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf, method: str
) -> None:
    proxy = start_proxy(config_for(make_config(old), method))
    with door_of(proxy).as_user(method, SECRET).raw() as client:
        assert client.value("SELECT current_user") == method


@pytest.mark.parametrize("method", METHODS)
def test_in_clear_where_the_user_says_so(
    old: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf, method: str
) -> None:
    config = make_config(old, target_tls=TargetTLS("Disable"))
    proxy = start_proxy(config_for(config, method))
    with door_of(proxy).as_user(method, SECRET).raw() as client:
        assert client.value("SELECT current_user") == method


class TestWithoutTLS:
    """The server has none, and the user did not say that this is all right."""

    @pytest.fixture
    def plain(self, old: Postgres) -> Iterator[Postgres]:
        old.settings["ssl"] = "off"
        old.restart()
        yield old
        old.settings["ssl"] = "on"
        old.restart()

    @pytest.mark.parametrize("method", ["md5", "trust", "scram-sha-256"])
    def test_what_tells_nobody_the_password_goes_on(
        self,
        plain: Postgres,
        make_config: MakeConfig,
        start_proxy: StartProxy,
        door_of: DoorOf,
        method: str,
    ) -> None:
        config = make_config(plain, target_tls=TargetTLS("Prefer"))
        proxy = start_proxy(config_for(config, method))
        with door_of(proxy).as_user(method, SECRET).raw() as client:
            assert client.value("SELECT current_user") == method

    def test_the_password_itself_is_not_sent(
        self,
        plain: Postgres,
        make_config: MakeConfig,
        start_proxy: StartProxy,
        door_of: DoorOf,
    ) -> None:
        config = make_config(plain, borrow=1, target_tls=TargetTLS("Prefer"))
        proxy = start_proxy(config_for(config, "password"), ready=False)
        refused = refusal(door_of(proxy).as_user("password", SECRET))
        assert refused["S"] == "FATAL"
        assert "password in clear" in refused["M"]
        assert "targetTLS.mode" in refused["H"]


@pytest.mark.parametrize("method", ["md5", "password"])
def test_a_wrong_password_is_told(
    old: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf, method: str
) -> None:
    config = make_config(old, borrow=1)
    users = (User(method, "wrong", database="app"),)
    proxy = start_proxy(replace(config, users=users), ready=False)
    refused = refusal(door_of(proxy).as_user(method, "wrong"))
    assert (refused["S"], refused["C"]) == ("FATAL", "28P01")


def refusal(door: Door) -> dict[str, str]:
    with pytest.raises(Refused) as refused, door.raw(database="app") as client:
        client.value("SELECT 1")
    return refused.value.fields
