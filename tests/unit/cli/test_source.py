"""From files to the proxy's document, and from a change of theirs to the next."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice_cli.files import Files
from sluice_cli.source import LOOK_AGAIN, ManifestSource
from sluice_proxy.config import Fleet, Target, parse
from sluice_proxy.errors import ConfigError
from sluice_testing.specs import manifest

NOW = 1_800_000_000.0


class Setup:
    """A folder with a DatabaseProxy and its Secret, and a clock."""

    def __init__(self, folder: Path):
        self.folder = folder / "manifests"
        self.folder.mkdir()
        self.now = NOW
        self.put("proxy.yaml", manifest())
        self.password("first")
        files = Files([str(self.folder)])
        state = {"XDG_STATE_HOME": str(folder / "state")}
        self.source = ManifestSource(files, "", state, "127.0.0.1", lambda: self.now)

    def put(self, name: str, *documents: Any) -> None:
        fresh = self.folder / "fresh"
        fresh.write_text(yaml.safe_dump_all(documents))
        os.replace(fresh, self.folder / name)

    def password(self, password: str) -> None:
        data = {"username": "app", "password": password}
        metadata = {"name": "orders-app", "namespace": "shop"}
        self.put("secret.yaml", {"kind": "Secret", "metadata": metadata, "stringData": data})


@pytest.fixture
def given(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def test_the_document(given: Setup) -> None:
    config = parse(given.source.read())
    assert config.name == "shop/orders"
    assert config.targets == (Target("db", 5432),)
    assert [(user.name, user.password) for user in config.users] == [("app", "first")]
    assert config.fleet == Fleet()
    assert config.linger_seconds == 0
    assert config.certificate is not None


def test_reading_again_changes_nothing(given: Setup) -> None:
    assert given.source.read() == given.source.read()


def test_the_previous_password_has_its_grace_and_no_more(given: Setup) -> None:
    given.source.read()
    given.password("second")
    [user] = parse(given.source.read()).users
    assert (user.password, user.previous_password) == ("second", "first")
    assert user.previous_until == NOW + 60
    given.now += 61
    [user] = parse(given.source.read()).users
    assert (user.password, user.previous_password) == ("second", "")


def test_a_broken_state_in_between_loses_no_grace(given: Setup) -> None:
    given.source.read()
    given.put("secret.yaml", ["broken"])
    with pytest.raises(ConfigError, match=r"secret\.yaml:1: not an object"):
        given.source.read()
    given.password("second")
    [user] = parse(given.source.read()).users
    assert user.previous_password == "first"


def test_every_complaint_is_told(given: Setup) -> None:
    given.put("other.yaml", {"kind": "Secret"})
    given.put("proxy.yaml", manifest({"spec.connectionPool": {"maxConnectionsPercent": 101}}))
    with pytest.raises(ConfigError) as refused:
        given.source.read()
    assert "other.yaml:1: Secret: metadata.name: required" in str(refused.value)
    assert "spec.connectionPool.maxConnectionsPercent" in str(refused.value)


def test_it_stays_with_the_proxy_that_it_began_with(given: Setup) -> None:
    given.source.read()
    given.put("second.yaml", manifest({"metadata.name": "cart"}))
    assert parse(given.source.read()).name == "shop/orders"
    (given.folder / "proxy.yaml").unlink()
    with pytest.raises(ConfigError, match="no DatabaseProxy called shop/orders"):
        given.source.read()


class TestCertificate:
    def test_one_of_ours(self, given: Setup) -> None:
        given.source.read()
        assert Path(given.source.ca_file).is_file()

    def test_the_users_own_is_needed_whole(self, given: Setup) -> None:
        given.put("proxy.yaml", manifest({"spec.tls": {"secretRef": {"name": "mine"}}}))
        with pytest.raises(ConfigError, match=r"spec\.tls\.secretRef\.name: Secret mine does not"):
            given.source.read()
        assert given.source.ca_file == ""


class TestChanged:
    def test_a_change_counts_once_it_has_settled(self, given: Setup) -> None:
        given.source.read()
        assert [given.source.changed() for _ in range(3)] == [False] * 3
        given.password("second")
        assert [given.source.changed() for _ in range(2)] == [False, True]
        given.source.read()
        assert [given.source.changed() for _ in range(3)] == [False] * 3

    def test_a_file_that_goes_on_changing_is_let_alone(self, given: Setup) -> None:
        given.source.read()
        looks = []
        for length in range(5):
            given.password("x" * (length + 1))
            looks.append(given.source.changed())
        assert looks == [False] * 5

    def test_a_refused_change_is_not_read_again(self, given: Setup) -> None:
        given.source.read()
        given.put("secret.yaml", ["broken"])
        with pytest.raises(ConfigError):
            given.source.read()
        assert [given.source.changed() for _ in range(3)] == [False] * 3

    def test_after_a_day_the_certificate_is_looked_at(self, given: Setup) -> None:
        given.source.read()
        given.now += LOOK_AGAIN
        assert given.source.changed()
        given.source.read()
        assert not given.source.changed()
