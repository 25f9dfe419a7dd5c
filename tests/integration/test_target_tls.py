"""How the proxy reaches its server, and what it says when the server's certificate is bad."""

import pytest

from sluice_proxy.config import Target, TargetTLS, TLSMode
from sluice_testing.certificates import Authority, Trust
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.raw import Refused

ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.fixture
def elsewhere(own_server: Postgres, trust: Trust) -> Postgres:
    """A server whose certificate names another host."""
    own_server.use_certificate(trust.authority.issue("elsewhere.example"))
    own_server.restart()
    return own_server


@pytest.mark.parametrize(
    ("mode", "encrypted"),
    [("Disable", "f"), ("Prefer", "t"), ("Require", "t"), ("VerifyCA", "t"), ("VerifyFull", "t")],
)
def test_modes(
    server: Postgres,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
    mode: TLSMode,
    encrypted: str,
) -> None:
    config = make_config(server)
    proxy = start_proxy(make_config(server, target_tls=TargetTLS(mode, config.target_tls.ca)))
    with door_of(proxy).raw() as client:
        assert client.value(ENCRYPTED) == encrypted


def test_a_name_is_verified_as_well_as_an_address(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    targets = (Target("localhost", server.port),)
    with door_of(start_proxy(make_config(server, targets=targets))).raw() as client:
        assert client.value(ENCRYPTED) == "t"


@pytest.mark.parametrize("mode", ["VerifyCA", "VerifyFull"])
def test_an_unknown_authority_is_not_trusted(
    server: Postgres,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
    mode: TLSMode,
) -> None:
    other = TargetTLS(mode, Authority("another").pem)
    proxy = start_proxy(make_config(server, borrow=1, target_tls=other), ready=False)
    refused = refusal(door_of(proxy))
    assert refused["S"] == "FATAL"
    assert "certificate" in " ".join(refused.values()).lower()
    [target] = proxy.state()["targets"]
    assert target["health"] == "Unavailable"
    assert "certificate" in target["message"].lower()


def test_verify_ca_does_not_look_at_the_name(
    elsewhere: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    ca = make_config(elsewhere).target_tls.ca
    proxy = start_proxy(make_config(elsewhere, target_tls=TargetTLS("VerifyCA", ca)))
    with door_of(proxy).raw() as client:
        assert client.value(ENCRYPTED) == "t"


def test_verify_full_does(
    elsewhere: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    proxy = start_proxy(make_config(elsewhere, borrow=1), ready=False)
    refused = refusal(door_of(proxy))
    assert "certificate" in " ".join(refused.values()).lower()


class TestServerWithoutTLS:
    @pytest.fixture
    def plain(self, own_server: Postgres) -> Postgres:
        own_server.settings["ssl"] = "off"
        own_server.restart()
        return own_server

    def test_prefer_goes_on_in_clear(
        self, plain: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
    ) -> None:
        proxy = start_proxy(make_config(plain, target_tls=TargetTLS("Prefer")))
        with door_of(proxy).raw() as client:
            assert client.value(ENCRYPTED) == "f"

    def test_require_does_not(
        self, plain: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
    ) -> None:
        proxy = start_proxy(
            make_config(plain, borrow=1, target_tls=TargetTLS("Require")), ready=False
        )
        refused = refusal(door_of(proxy))
        assert "TLS" in " ".join(refused.values())


def refusal(door: Door) -> dict[str, str]:
    """What a client is told that cannot be served."""
    with pytest.raises(Refused) as refused, door.raw() as client:
        client.value("SELECT 1")
    return refused.value.fields
