"""The roles of a configuration: which passwords are good now, and what is derived from them."""

import asyncio
import threading

import pytest

from sluice_proxy.config import User
from sluice_proxy.targets.roles import Memory, Roles
from sluice_proxy.wire import scram

SECRET = b"s" * 32
APP = User("app", "new", previous_password="old", previous_until=1060.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def prepared(memory: Memory, *users: User, clock: Clock | None = None) -> Roles:
    roles = Roles(users, memory, clock or Clock())
    roles.prepare()
    return roles


def lets_in(roles: Roles, user: str, password: str) -> bool:
    """Whether a client with this password passes SCRAM against the role's verifiers."""
    client = scram.ClientExchange("c")
    server = scram.ServerExchange(roles.verifiers(user), "s")
    challenge = client.server_first(server.first(client.first()))
    keys = scram.derive_client_keys(password, challenge.salt, challenge.iterations)
    try:
        server.final(client.final(keys))
    except scram.WrongPassword:
        return False
    return True


@pytest.mark.parametrize(
    ("now", "passwords"),
    [
        (1000.0, ["new", "old"]),
        (1059.9, ["new", "old"]),
        (1060.0, ["new"]),
        (2000.0, ["new"]),
    ],
)
def test_the_previous_password_is_good_for_its_grace(now: float, passwords: list[str]) -> None:
    clock = Clock()
    roles = prepared(Memory(SECRET), APP, clock=clock)
    clock.now = now
    assert roles.passwords("app") == passwords
    for password in ("new", "old"):
        assert lets_in(roles, "app", password) is (password in passwords)


def test_both_passwords_show_one_salt() -> None:
    first, second = prepared(Memory(SECRET), APP).verifiers("app")
    assert (first.salt, first.iterations) == (second.salt, second.iterations)


def test_nobody_gets_in_as_an_unknown_role_and_sees_no_difference() -> None:
    """Pitfall 49: salt and iterations look alike, and stay what they were."""
    roles = prepared(Memory(SECRET), APP)
    assert roles.passwords("nobody") == []
    [known, *_] = roles.verifiers("app")
    [mock] = roles.verifiers("nobody")
    assert mock == roles.verifiers("nobody")[0]
    assert mock == prepared(Memory(SECRET), APP).verifiers("nobody")[0]
    assert known.salt == prepared(Memory(SECRET), APP).verifiers("app")[0].salt
    assert (len(mock.salt), mock.iterations) == (len(known.salt), known.iterations)
    assert not lets_in(roles, "nobody", "")


def test_what_was_derived_is_kept_over_a_change_and_no_longer() -> None:
    """Pitfall 50: a changed password leaves nothing of the one before."""
    memory = Memory(SECRET)
    prepared(memory, APP)
    before = memory.verifiers["app", "new"]
    prepared(memory, User("app", "newer", previous_password="new", previous_until=2000.0))
    assert memory.verifiers["app", "new"] is before
    assert set(memory.verifiers) == {("app", "newer"), ("app", "new")}


def test_a_login_that_began_before_a_change_ends_under_what_it_began_with() -> None:
    memory = Memory(SECRET)
    old = prepared(memory, APP, User("leaver", "x"))
    prepared(memory, User("app", "third"))
    assert lets_in(old, "app", "new")
    assert lets_in(old, "leaver", "x")


def test_which_roles_ever_worked_outlives_a_change() -> None:
    memory = Memory(SECRET)
    old = prepared(memory, APP)
    assert not old.proved("app")
    old.prove("app")
    assert prepared(memory, APP).proved("app")


async def test_many_connections_at_once_derive_keys_but_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pitfall 47: in a thread, and not in every thread that there is."""
    derived: list[int] = []

    def derive(password: str, salt: bytes, iterations: int) -> scram.ClientKeys:
        derived.append(threading.get_ident())
        return scram.ClientKeys(b"", b"", salt)

    monkeypatch.setattr("sluice_proxy.targets.roles.scram.derive_client_keys", derive)
    memory = Memory(SECRET)
    roles = Roles([APP], memory)
    loop = asyncio.get_running_loop()
    challenge = scram.Challenge(b"1" * 16, 4096)
    waiting = [asyncio.create_task(roles.derive(loop, "new", challenge)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    keys = await asyncio.gather(*waiting[1:])
    assert {id(key) for key in keys} == {id(keys[0])}
    [thread] = derived
    assert thread != threading.get_ident()
    assert memory.pending == {}


async def test_keys_for_a_server_are_derived_once_for_each_salt() -> None:
    memory = Memory(SECRET)
    roles = prepared(memory, APP)
    loop = asyncio.get_running_loop()
    one = scram.Challenge(b"1" * 16, 4096)
    two = scram.Challenge(b"2" * 16, 4096)
    keys = await roles.derive(loop, "new", one)
    assert keys == scram.derive_client_keys("new", one.salt, one.iterations)
    assert await roles.derive(loop, "new", one) is keys
    assert await roles.derive(loop, "new", two) != keys
    assert await roles.derive(loop, "old", one) != keys


def test_the_database_of_its_secret_is_where_a_role_is_tried() -> None:
    roles = prepared(Memory(SECRET), User("app", "new", database="shop"))
    assert roles.is_own("app", "shop")
    assert not roles.is_own("app", "postgres")
    assert not roles.is_own("nobody", "shop")
