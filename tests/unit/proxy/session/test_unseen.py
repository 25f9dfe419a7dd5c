"""Whether a pool's texts show all that they do."""

import pytest

from sluice_proxy.clock import Clock
from sluice_proxy.pool.key import PoolKey
from sluice_proxy.session.state import SessionState
from sluice_proxy.session.suspects import EVERYBODY, NOBODY
from sluice_proxy.session.unseen import Unseen

KEY = PoolKey("app", "shop")
OTHER = PoolKey("app", "garden")


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def unseen(clock: Clock) -> Unseen:
    """Of one database it is known that there is nothing."""
    unseen = Unseen(clock)
    unseen.looks = True
    unseen.learn("shop", NOBODY)
    assert unseen.is_nothing(KEY)
    assert unseen.is_nothing(KEY)
    return unseen


def test_it_is_known_for_a_while_and_of_that_database_alone(unseen: Unseen, clock: Clock) -> None:
    assert not unseen.is_nothing(OTHER)
    clock.now += 10.0
    assert unseen.is_nothing(KEY)
    clock.now += 0.1
    assert not unseen.is_nothing(KEY)
    unseen.learn("shop", NOBODY)
    assert unseen.is_nothing(KEY)


def test_a_function_that_is_found_counts_at_once(unseen: Unseen) -> None:
    unseen.learn("shop", EVERYBODY)
    assert not unseen.is_nothing(KEY)


def test_who_asks_for_sequences_counts_at_once(unseen: Unseen) -> None:
    unseen.on_sequences(OTHER)
    assert unseen.is_nothing(KEY)
    unseen.on_sequences(KEY)
    assert not unseen.is_nothing(KEY)


def test_what_is_being_asked_anew_was_not_nothing_before(unseen: Unseen, clock: Clock) -> None:
    """The connection that asks is held back by that; the others go by what is known."""
    clock.now += 10.1
    session = SessionState()
    assert unseen.suspects("shop", session) is NOBODY
    assert session.functions_due
    assert unseen.is_nothing(KEY)


def test_where_nobody_looks_only_sequences_count(clock: Clock) -> None:
    unseen = Unseen(clock)
    assert unseen.is_nothing(KEY)
    unseen.on_sequences(KEY)
    assert not unseen.is_nothing(KEY)
    assert unseen.is_nothing(OTHER)
