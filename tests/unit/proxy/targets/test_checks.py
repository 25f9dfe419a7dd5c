"""When the proxy logs in only to see whether it can."""

import asyncio

import pytest

from sluice_proxy.config import Target, User
from sluice_proxy.errors import ErrorFields, Unreachable
from sluice_proxy.targets import checks
from sluice_proxy.targets.capacity import Capacity
from sluice_proxy.targets.checks import Checks
from sluice_proxy.targets.health import AVAILABLE, UNAVAILABLE, RoleLogin, TargetHealth
from sluice_proxy.targets.server_login import refusal

APP, REPORTS = User("app", "a", database="shop"), User("reports", "r", database="archive")
USERS = (APP, REPORTS)
REFUSED = refusal(ErrorFields("FATAL", "28P01", "no"))


class Server:
    """Lets in who is not `refused`, has `room` for so many logins, and keeps who came."""

    def __init__(self) -> None:
        self.health = TargetHealth(Target("db"))
        self.refused: set[str] = set()
        self.there = True
        self.room = 100
        self.came: list[str] = []

    async def check(self, user: str, database: str) -> bool:
        if not self.room:
            return False
        self.came.append(f"{user}@{database}")
        login = RoleLogin(user)
        if not self.there:
            self.health.failed(login, Unreachable("gone"))
        elif user in self.refused:
            self.health.failed(login, REFUSED)
        else:
            self.room -= 1
            self.health.succeeded(login, Capacity(100, 3))
        return True

    def who_came(self) -> list[str]:
        came, self.came = self.came, []
        return came


BOTH = ["app@shop", "reports@archive"]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def begun(server: Server) -> Checks:
    """After the first round, in which both got in."""
    begun = Checks(server, server.health)
    await begun.round(USERS)
    assert server.who_came() == BOTH
    return begun


async def test_while_all_is_well_nobody_is_asked(server: Server, begun: Checks) -> None:
    await begun.round(USERS)
    assert server.who_came() == []


async def test_who_is_asked_for_is_asked_once(server: Server, begun: Checks) -> None:
    begun.ask()
    await begun.round(USERS)
    await begun.round(USERS)
    assert server.who_came() == BOTH


async def test_a_server_that_is_gone_is_asked_until_it_is_back(
    server: Server, begun: Checks
) -> None:
    server.there = False
    begun.lost(used=False)
    for _ in range(3):
        await begun.round(USERS)
        assert (server.who_came(), server.health.state) == (BOTH, UNAVAILABLE)
    server.there = True
    await begun.round(USERS)
    await begun.round(USERS)
    assert (server.who_came(), server.health.state) == (BOTH, AVAILABLE)


async def test_of_two_roles_the_one_that_fails_is_asked_again(
    server: Server, begun: Checks
) -> None:
    server.refused = {"reports"}
    begun.lost(used=True)
    await begun.round(USERS)
    server.who_came()
    await begun.round(USERS)
    assert server.who_came() == ["reports@archive"]
    server.refused = set()
    await begun.round(USERS)
    await begun.round(USERS)
    assert (server.who_came(), server.health.state) == (["reports@archive"], AVAILABLE)


async def test_who_had_no_room_is_asked_when_there_is(server: Server) -> None:
    server.room = 1
    begun = Checks(server, server.health)
    await begun.round(USERS)
    await begun.round(USERS)
    assert server.who_came() == ["app@shop"]
    server.room = 1
    await begun.round(USERS)
    await begun.round(USERS)
    assert server.who_came() == ["reports@archive"]


async def test_room_for_one_is_for_who_does_not_get_in(server: Server, begun: Checks) -> None:
    server.refused = {"reports"}
    begun.ask()
    await begun.round(USERS)
    server.who_came()
    server.refused, server.room = set(), 1
    begun.ask()
    await begun.round(USERS)
    assert server.who_came() == ["reports@archive"]


async def test_a_role_that_is_configured_no_more_is_not_asked(
    server: Server, begun: Checks
) -> None:
    server.room = 0
    begun.ask()
    await begun.round(USERS)
    server.room = 2
    await begun.round((APP,))
    await begun.round(USERS)
    assert server.who_came() == ["app@shop"]


class TestLost:
    async def test_many_at_once_are_one_cause(self, server: Server, begun: Checks) -> None:
        for used in (True, False) * 20:
            begun.lost(used)
        await begun.round(USERS)
        await begun.round(USERS)
        assert server.who_came() == BOTH

    async def test_what_idles_is_asked_after_but_once(self, server: Server, begun: Checks) -> None:
        """The connections of the checks end, too: that would go on for ever."""
        begun.lost(used=True)
        await begun.round(USERS)
        assert server.who_came() == BOTH
        for _ in range(3):
            begun.lost(used=False)
            await begun.round(USERS)
        assert server.who_came() == []
        begun.lost(used=True)
        await begun.round(USERS)
        assert server.who_came() == BOTH

    async def test_it_is_asked_after_again_when_the_server_was_gone(
        self, server: Server, begun: Checks
    ) -> None:
        begun.lost(used=False)
        await begun.round(USERS)
        server.health.failed(RoleLogin("app"), Unreachable("gone"))
        server.refused = {"app"}
        await begun.round(USERS)
        server.refused = set()
        await begun.round(USERS)
        server.who_came()
        begun.lost(used=False)
        await begun.round(USERS)
        assert server.who_came() == BOTH


class TestPause:
    async def test_it_ends_soon_when_somebody_asks(
        self, begun: Checks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checks, "RECHECK", 3600.0)
        monkeypatch.setattr(checks, "GATHER", 0.0)
        pause = asyncio.create_task(begun.pause())
        await asyncio.sleep(0)
        begun.lost(used=True)
        await asyncio.wait_for(pause, 10.0)

    async def test_a_changed_configuration_waits_for_nothing(
        self, begun: Checks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checks, "RECHECK", 3600.0)
        monkeypatch.setattr(checks, "GATHER", 3600.0)
        begun.ask()
        await asyncio.wait_for(begun.pause(), 10.0)

    async def test_it_ends_when_nobody_asks(
        self, begun: Checks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checks, "RECHECK", 0.0)
        await asyncio.wait_for(begun.pause(), 10.0)

    async def test_what_comes_meanwhile_belongs_to_the_same_round(
        self, server: Server, begun: Checks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checks, "GATHER", 0.05)
        begun.lost(used=True)
        asyncio.get_running_loop().call_later(0.01, begun.lost, True)
        await begun.pause()
        await begun.round(USERS)
        await asyncio.sleep(0.02)
        await begun.round(USERS)
        assert server.who_came() == BOTH
