"""The document: what the spec says, and how long a previous password stays good."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_operator.api.manifest import parse
from sluice_operator.desired.config_secret import proxy_config
from sluice_proxy.config import (
    Certificate,
    Fleet,
    PoolSettings,
    ProxyConfig,
    Target,
    TargetTLS,
    User,
)
from sluice_testing.specs import manifest

CERTIFICATE = Certificate("chain", "key")


def made(
    password: bytes = b"old",
    previous: ProxyConfig | None = None,
    now: float = 100.0,
    **changes: Any,
) -> ProxyConfig:
    proxy = parse(manifest({f"spec.{key}": value for key, value in changes.items()}))
    secrets = {"orders-app": {"username": b"app", "password": password}}
    return proxy_config(proxy.spec, "orders", "shop", secrets, previous, now, CERTIFICATE)


def test_every_field_of_the_spec_arrives() -> None:
    config = made(
        targets=[{"host": "h", "port": 6543}],
        targetTLS={"mode": "Require"},
        requireTLS=False,
        idleClientTimeoutSeconds=61,
        debugLogging=True,
        podTemplate={"terminationGracePeriodSeconds": 100},
        connectionPool={
            "maxConnectionsPercent": 45,
            "maxIdleConnectionsPercent": 7,
            "connectionBorrowTimeoutSeconds": 8,
            "initQuery": "SET work_mem = '8MB'",
            "sessionPinningFilters": ["EXCLUDE_LISTEN", "EXCLUDE_SEQUENCES"],
        },
    )
    assert config == ProxyConfig(
        name="shop/orders",
        targets=(Target("h", 6543),),
        users=(User("app", "old"),),
        target_tls=TargetTLS("Require"),
        certificate=CERTIFICATE,
        require_tls=False,
        idle_client_timeout_seconds=61,
        pool=PoolSettings(
            45, 8, 7, "SET work_mem = '8MB'", ("EXCLUDE_LISTEN", "EXCLUDE_SEQUENCES")
        ),
        fleet=Fleet(),
        drain_seconds=90,
        linger_seconds=15,
        debug_logging=True,
    )


@pytest.mark.parametrize(
    ("pool", "idle"),
    [
        ({}, 50),
        ({"maxConnectionsPercent": 80}, 50),
        ({"maxConnectionsPercent": 20}, 20),
        ({"maxConnectionsPercent": 20, "maxIdleConnectionsPercent": 0}, 0),
        ({"maxIdleConnectionsPercent": 100}, 100),
    ],
)
def test_how_much_may_rest(pool: dict[str, int], idle: int) -> None:
    assert made(connectionPool=pool).pool.max_idle_connections_percent == idle


def test_a_changed_password_leaves_the_old_one_good_for_the_grace() -> None:
    first = made(b"old")
    second = made(b"new", first, now=1000.0)
    assert second.users == (User("app", "new", "old", 1060.0),)


def test_the_grace_is_not_prolonged_by_looking_again() -> None:
    second = made(b"new", made(b"old"), now=1000.0)
    assert made(b"new", second, now=1059.0) == second


def test_the_old_password_is_forgotten_when_the_grace_is_over() -> None:
    second = made(b"new", made(b"old"), now=1000.0)
    assert made(b"new", second, now=1060.0).users == (User("app", "new"),)


def test_no_grace_means_none() -> None:
    changes = {"auth.0.rotationGraceSeconds": 0}
    assert made(b"new", made(b"old"), now=1000.0, **changes).users == (User("app", "new"),)


def test_a_role_that_is_new_has_no_past() -> None:
    other = replace(made(), users=(User("somebody", "else"),))
    assert made(b"new", other).users == (User("app", "new"),)
