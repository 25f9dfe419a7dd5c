"""How a target feels, by the logins that were tried."""

from itertools import permutations

import pytest

from sluice_proxy.config import Target
from sluice_proxy.errors import (
    CertificateInvalid,
    ErrorFields,
    HostNotFound,
    ProxyError,
    ServerProtocolError,
    ServerUnavailable,
    TLSRefused,
    Unreachable,
)
from sluice_proxy.targets.capacity import Capacity
from sluice_proxy.targets.health import (
    AVAILABLE,
    REGISTERING,
    UNAVAILABLE,
    RoleLogin,
    TargetHealth,
)
from sluice_proxy.targets.init_query import InitQueryFailed, InitQueryTooSlow
from sluice_proxy.targets.server_login import refusal

CAPACITY = Capacity(100, 3)
APP, REPORTS = RoleLogin("app"), RoleLogin("reports")
ELSEWHERE = RoleLogin("reports", own=False)


def fresh() -> TargetHealth:
    return TargetHealth(Target("db", 5433))


def available() -> TargetHealth:
    health = fresh()
    health.succeeded(APP, CAPACITY)
    return health


def told(health: TargetHealth) -> tuple[str, str, str]:
    return health.state, health.reason, health.message


def refused(sqlstate: str, text: str = "words", routine: str = "") -> ProxyError:
    """What the server says at a login, by the routine that says it."""
    said = f"C{sqlstate}\0M{text}\0R{routine}\0\0".encode()
    return refusal(ErrorFields("FATAL", sqlstate, text), said)


PASSWORD = refused("28P01", 'password authentication failed for user "reports"')
NO_LOGIN = refused("28000", 'role "reports" is not permitted to log in')
ROLE_FULL = refused("53300", "too many for »reports«", "InitializeSessionUserId")
DATABASE_FULL = refused("53300", 'too many connections for database "x"', "CheckMyDatabase")
SERVER_FULL = refused("53300", "sorry, too many clients already", "InitProcess")

OF_THE_SERVER = [
    (Unreachable("words"), "Unreachable"),
    (HostNotFound("words"), "HostNotFound"),
    (TLSRefused("words"), "TLSRefused"),
    (CertificateInvalid("words"), "CertificateInvalid"),
    (refused("57P03"), "ConnectionFailed"),
    (refused("53300"), "TooManyConnections"),
    (SERVER_FULL, "TooManyConnections"),
    (ServerProtocolError("words"), "ConnectionFailed"),
]
OF_A_ROLE = [
    (PASSWORD, "AuthFailure"),
    (NO_LOGIN, "AuthFailure"),
    (ServerUnavailable("words", sqlstate="28P01"), "AuthFailure"),
    (ROLE_FULL, "TooManyConnections"),
    (DATABASE_FULL, "TooManyConnections"),
    (refused("3D000"), "DatabaseNotFound"),
    (refused("42501"), "ConnectionFailed"),
    (refused("55000"), "ConnectionFailed"),
    (refused("22023"), "ConnectionFailed"),
    (refused("42704"), "ConnectionFailed"),
    (InitQueryFailed("words", sqlstate="42601"), "InitQueryFailed"),
    (InitQueryFailed("words", sqlstate="28000"), "InitQueryFailed"),
    (InitQueryTooSlow(15.0), "InitQueryFailed"),
]
MAY_BE_OF_THE_ROLE = [PASSWORD, NO_LOGIN, ROLE_FULL]


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
    health = available()
    assert (health.state, health.describe()["maxConnections"]) == (AVAILABLE, 100)


class TestTheServersTrouble:
    @pytest.mark.parametrize("login", [REPORTS, ELSEWHERE])
    @pytest.mark.parametrize(("error", "reason"), OF_THE_SERVER)
    def test_it_lasts_until_anybody_gets_in(
        self, error: ProxyError, reason: str, login: RoleLogin
    ) -> None:
        health = available()
        health.failed(login, error)
        assert told(health) == (UNAVAILABLE, reason, error.message)
        health.succeeded(APP, CAPACITY)
        assert told(health) == (AVAILABLE, "", "")

    def test_it_hides_the_roles_for_as_long_as_it_lasts(self) -> None:
        health = available()
        health.failed(REPORTS, PASSWORD)
        health.failed(APP, Unreachable("gone"))
        assert told(health) == (UNAVAILABLE, "Unreachable", "gone")
        health.succeeded(APP, CAPACITY)
        assert health.reason == "AuthFailure"

    @pytest.mark.parametrize("login", [REPORTS, ELSEWHERE])
    @pytest.mark.parametrize(("error", "_"), OF_A_ROLE)
    def test_who_refuses_a_role_is_there(self, login: RoleLogin, error: ProxyError, _: str) -> None:
        health = available()
        health.failed(APP, Unreachable("gone"))
        health.failed(login, error)
        assert health.reason != "Unreachable"


class TestARolesTrouble:
    @pytest.mark.parametrize(("error", "reason"), OF_A_ROLE)
    def test_another_role_that_got_in_does_not_hide_it(
        self, error: ProxyError, reason: str
    ) -> None:
        health = available()
        health.failed(REPORTS, error)
        assert (health.state, health.reason) == (UNAVAILABLE, reason)
        assert error.message in health.message

    @pytest.mark.parametrize(("error", "reason"), OF_A_ROLE)
    def test_another_role_that_gets_in_later_does_not_end_it(
        self, error: ProxyError, reason: str
    ) -> None:
        health = fresh()
        health.failed(REPORTS, error)
        health.succeeded(APP, CAPACITY)
        assert (health.state, health.reason) == (UNAVAILABLE, reason)
        health.succeeded(REPORTS, CAPACITY)
        assert told(health) == (AVAILABLE, "", "")

    def test_each_role_is_told_of_until_it_gets_in(self) -> None:
        for first, second in permutations((APP, REPORTS)):
            health = fresh()
            health.failed(first, refused("3D000", "one"))
            health.failed(second, refused("42501", "two"))
            assert health.reason == "DatabaseNotFound"
            assert health.message == f'role "{first.user}": one; role "{second.user}": two'
            health.succeeded(first, CAPACITY)
            assert told(health) == (UNAVAILABLE, "ConnectionFailed", f'role "{second.user}": two')

    @pytest.mark.parametrize("error", MAY_BE_OF_THE_ROLE)
    def test_a_role_that_the_server_names_is_not_named_twice(self, error: ProxyError) -> None:
        health = available()
        health.failed(REPORTS, error)
        assert health.message == error.message

    def test_an_init_query_that_does_not_end_is_its_own_fault(self) -> None:
        health = fresh()
        health.failed(APP, InitQueryTooSlow(15.0))
        assert "initQuery did not end within 15 s" in health.message

    @pytest.mark.parametrize(("error", "reason"), OF_A_ROLE)
    def test_a_login_elsewhere_does_not_end_it(self, error: ProxyError, reason: str) -> None:
        """Clients that name a database themselves get in; who names none does not."""
        health = available()
        health.failed(REPORTS, error)
        health.succeeded(ELSEWHERE, CAPACITY)
        assert health.reason == reason


class TestAClientsChoice:
    @pytest.mark.parametrize(("error", "_"), OF_A_ROLE)
    def test_it_makes_nothing_unhealthy(self, error: ProxyError, _: str) -> None:
        health = available()
        health.failed(ELSEWHERE, error)
        assert told(health) == (AVAILABLE, "", "")

    @pytest.mark.parametrize(("error", "_"), OF_A_ROLE)
    def test_nothing_is_known_by_it_before_the_first_login(self, error: ProxyError, _: str) -> None:
        health = fresh()
        health.failed(ELSEWHERE, error)
        assert health.state == REGISTERING

    @pytest.mark.parametrize(("error", "_"), OF_A_ROLE)
    def test_what_may_be_the_roles_fault_is_looked_into(self, error: ProxyError, _: str) -> None:
        health = available()
        health.failed(ELSEWHERE, error)
        may_be = error in MAY_BE_OF_THE_ROLE or error.sqlstate in ("28P01", "53300")
        assert health.unproven({"app", "reports"}) == ({"reports"} if may_be else set())
        health.succeeded(REPORTS, CAPACITY)
        assert health.unproven({"app", "reports"}) == set()


class TestWhoHoldsConnections:
    BUSY = RoleLogin("reports", holds=True)

    @pytest.mark.parametrize("error", [ROLE_FULL, DATABASE_FULL])
    def test_a_limit_that_is_used_up_is_no_trouble(self, error: ProxyError) -> None:
        health = available()
        health.failed(ELSEWHERE, error)
        health.failed(self.BUSY, error)
        assert (health.state, health.unproven({"reports"})) == (AVAILABLE, set())

    @pytest.mark.parametrize("error", [PASSWORD, refused("3D000"), SERVER_FULL])
    def test_anything_else_is(self, error: ProxyError) -> None:
        health = available()
        health.failed(self.BUSY, error)
        assert health.state == UNAVAILABLE


class TestWhoIsUnproven:
    NAMES = frozenset(("app", "reports"))

    def test_everybody_before_the_first_login_and_while_the_server_is_in_trouble(self) -> None:
        health = fresh()
        assert health.unproven(self.NAMES) == self.NAMES
        health.succeeded(APP, CAPACITY)
        assert health.unproven(self.NAMES) == set()
        health.failed(APP, Unreachable("gone"))
        assert health.unproven(self.NAMES) == self.NAMES

    def test_else_the_roles_in_trouble_that_there_still_are(self) -> None:
        health = available()
        health.failed(REPORTS, PASSWORD)
        assert health.unproven(self.NAMES) == {"reports"}
        assert health.unproven({"app"}) == set()


def test_new_credentials_forget_who_was_refused() -> None:
    health = available()
    health.failed(ELSEWHERE, NO_LOGIN)
    health.failed(APP, PASSWORD)
    health.forget_roles()
    assert told(health) == (REGISTERING, "", "")
    health.succeeded(APP, CAPACITY)
    assert health.unproven({"app", "reports"}) == set()


def test_new_credentials_leave_the_server_as_it_is() -> None:
    health = available()
    health.forget_roles()
    assert health.state == AVAILABLE
    health.failed(APP, Unreachable("no"))
    health.forget_roles()
    assert health.state == UNAVAILABLE, "credentials do not make it reachable"


def test_another_target_is_a_new_beginning() -> None:
    health = available()
    health.failed(REPORTS, PASSWORD)
    health.move(Target("other", 5432))
    assert health.describe()["host"] == "other"
    assert (health.state, health.capacity) == (REGISTERING, None)
