"""How a target feels, by the logins that were tried."""

import pytest

from sluice_proxy.config import Target
from sluice_proxy.errors import (
    CertificateInvalid,
    HostNotFound,
    ProxyError,
    TLSRefused,
    Unreachable,
)
from sluice_proxy.targets.capacity import Capacity
from sluice_proxy.targets.health import AVAILABLE, REGISTERING, UNAVAILABLE, TargetHealth
from sluice_proxy.targets.init_query import InitQueryFailed, InitQueryTooSlow

CAPACITY = Capacity(100, 3)


def fresh() -> TargetHealth:
    return TargetHealth(Target("db", 5433))


def refused(sqlstate: str, text: str = "no") -> ProxyError:
    return ProxyError(text, sqlstate=sqlstate)


def test_nothing_is_known_before_the_first_login() -> None:
    assert fresh().describe() == {
        "host": "db",
        "port": 5433,
        "health": REGISTERING,
        "reason": "",
        "message": "",
        "maxConnections": None,
    }


def test_a_login_makes_it_available() -> None:
    health = fresh()
    health.succeeded("app", CAPACITY)
    assert (health.state, health.describe()["maxConnections"]) == (AVAILABLE, 100)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unreachable("words"), "Unreachable"),
        (HostNotFound("words"), "HostNotFound"),
        (TLSRefused("words"), "TLSRefused"),
        (CertificateInvalid("words"), "CertificateInvalid"),
        (refused("57P03", "words"), "ConnectionFailed"),
        (refused("53300", "words"), "TooManyConnections"),
    ],
)
def test_a_failure_makes_it_unavailable_until_a_login(error: ProxyError, reason: str) -> None:
    health = fresh()
    health.succeeded("app", CAPACITY)
    health.failed("app", error)
    assert (health.state, health.reason, health.message) == (UNAVAILABLE, reason, "words")
    health.succeeded("app", CAPACITY)
    assert (health.state, health.reason, health.message) == (AVAILABLE, "", "")


@pytest.mark.parametrize("sqlstate", ["42601", "42501", "28000"])
def test_an_init_query_that_fails_is_named_whatever_the_server_says(sqlstate: str) -> None:
    """Even where the same refusal of a login would prove the server's health."""
    health = fresh()
    health.succeeded("app", CAPACITY)
    health.failed("app", InitQueryFailed("words", sqlstate=sqlstate))
    assert (health.state, health.reason, health.message) == (
        UNAVAILABLE,
        "InitQueryFailed",
        "words",
    )
    health.succeeded("app", CAPACITY)
    assert health.state == AVAILABLE


def test_an_init_query_that_does_not_end_is_its_own_fault() -> None:
    health = fresh()
    health.failed("app", InitQueryTooSlow(15.0))
    assert health.reason == "InitQueryFailed"
    assert "initQuery did not end within 15 s" in health.message


@pytest.mark.parametrize("sqlstate", ["28P01", "28000"])
def test_one_refused_role_makes_it_unhealthy_until_that_role_gets_in(sqlstate: str) -> None:
    health = fresh()
    health.failed("bad", refused(sqlstate, "wrong password for bad"))
    health.succeeded("good", CAPACITY)
    assert (health.state, health.reason) == (UNAVAILABLE, "AuthFailure")
    assert health.message == "wrong password for bad"
    health.failed("worse", refused(sqlstate, "wrong password for worse"))
    assert health.message == "wrong password for bad; wrong password for worse"
    health.succeeded("bad", CAPACITY)
    assert health.message == "wrong password for worse"
    health.succeeded("worse", CAPACITY)
    assert health.state == AVAILABLE


@pytest.mark.parametrize(
    ("sqlstate", "reason"),
    [
        ("3D000", "DatabaseNotFound"),
        ("42501", "ConnectionFailed"),
        ("22023", "ConnectionFailed"),
        ("42704", "ConnectionFailed"),
    ],
)
def test_a_refusal_after_the_password_proves_its_health(sqlstate: str, reason: str) -> None:
    health = fresh()
    health.failed("app", refused(sqlstate))
    assert health.state == UNAVAILABLE, "its max_connections is not known yet"
    assert health.reason == reason
    health.succeeded("app", CAPACITY)
    health.failed("app", refused("57P03"))
    health.failed("app", refused(sqlstate))
    assert health.state == AVAILABLE


def test_new_credentials_forget_who_was_refused() -> None:
    health = fresh()
    health.failed("app", refused("28P01"))
    health.forget_roles()
    assert (health.state, health.reason, health.message) == (REGISTERING, "", "")
    health.failed("app", Unreachable("no"))
    health.forget_roles()
    assert health.state == UNAVAILABLE, "credentials do not make it reachable"


def test_another_target_is_a_new_beginning() -> None:
    health = fresh()
    health.succeeded("app", CAPACITY)
    health.move(Target("other", 5432))
    assert health.describe()["host"] == "other"
    assert (health.state, health.capacity) == (REGISTERING, None)
