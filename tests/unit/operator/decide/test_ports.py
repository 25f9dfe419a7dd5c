"""Each proxy has a port of the activators for itself, for as long as its slice remembers it."""

import random

import pytest

from sluice_operator.decide.ports import FIRST, LAST, Ports, PortsExhausted
from sluice_operator.decide.references import Key

MADE = "2026-01-01T00:00:00Z"
A, B, C = ("shop", "a"), ("shop", "b"), ("shop", "c")


def test_the_range_ends_where_linux_begins_to_take_ports_by_itself() -> None:
    assert (FIRST, LAST) == (10000, 32767)


def test_a_proxy_keeps_its_port() -> None:
    ports = Ports()
    port = ports.port(A)
    assert FIRST <= port <= LAST
    assert ports.port(A) == port
    assert ports.see(A, port, MADE) is None
    # Another operator comes to the same without having been told.
    assert Ports().port(A) == port


def test_what_a_slice_says_is_kept() -> None:
    ports = Ports()
    assert ports.see(A, 12345, MADE) is None
    assert ports.port(A) == 12345


@pytest.mark.parametrize("port", [0, 5432, FIRST - 1, LAST + 1, 40000])
def test_a_port_out_of_the_range_is_none(port: int) -> None:
    ports = Ports()
    assert ports.see(A, port, MADE) is None
    assert FIRST <= ports.port(A) <= LAST


def test_who_would_have_the_same_takes_the_next_one() -> None:
    wanted = Ports().port(A)
    ports = Ports()
    ports.see(B, wanted, MADE)
    assert ports.port(A) == wanted + 1


def test_after_the_last_port_comes_the_first() -> None:
    wanted = Ports().port(A)
    ports = Ports()
    for number in range(wanted, LAST + 1):
        ports.see(("other", str(number)), number, MADE)
    assert ports.port(A) == FIRST


OLDER = "2025-01-01T00:00:00Z"


@pytest.mark.parametrize("seen", [((A, MADE), (B, OLDER)), ((B, OLDER), (A, MADE))])
def test_of_two_with_the_same_port_the_older_stays(seen: tuple[tuple[Key, str], ...]) -> None:
    """As at the activators: who was met there goes on being met there."""
    ports = Ports()
    assert ports.see(seen[0][0], 12345, seen[0][1]) is None
    assert ports.see(seen[1][0], 12345, seen[1][1]) == A
    assert ports.port(B) == 12345
    assert ports.port(A) != 12345


def test_one_that_has_a_slice_takes_what_was_given_to_one_that_has_none() -> None:
    ports = Ports()
    given = ports.port(A)
    assert ports.see(B, given, MADE) == A
    assert ports.port(B) == given
    assert ports.port(A) != given


@pytest.mark.parametrize("seen", [(A, B), (B, A)])
def test_of_two_as_old_the_first_by_name_stays(seen: tuple[Key, Key]) -> None:
    ports = Ports()
    assert ports.see(seen[0], 12345, MADE) is None
    assert ports.see(seen[1], 12345, MADE) == B
    assert ports.port(A) == 12345
    assert ports.port(B) != 12345


def test_who_has_to_move_moves_once() -> None:
    """Its slice tells the old port until it is written, and is seen so."""
    ports = Ports()
    ports.see(A, 12345, MADE)
    assert ports.see(B, 12345, MADE) == B
    moved = ports.port(B)
    assert ports.see(B, 12345, MADE) is None
    assert ports.port(B) == moved
    assert ports.see(B, moved, MADE) is None
    assert ports.port(B) == moved


def test_who_comes_first_by_name_takes_what_was_given_out_meanwhile() -> None:
    """After a start, a port is given out before all slices were seen."""
    ports = Ports()
    given = ports.port(B)
    assert ports.see(A, given, MADE) == B
    assert ports.port(A) == given
    assert ports.port(B) != given


def test_a_port_of_one_that_is_gone_is_free() -> None:
    ports = Ports()
    ports.see(A, 12345, MADE)
    ports.free(A)
    ports.free(A)
    assert ports.see(B, 12345, MADE) is None
    assert ports.port(B) == 12345


def test_a_port_that_was_left_is_free() -> None:
    ports = Ports()
    ports.see(A, 12345, MADE)
    ports.see(A, 23456, MADE)
    assert ports.see(B, 12345, MADE) is None
    assert (ports.port(A), ports.port(B)) == (23456, 12345)


def test_more_proxies_than_ports() -> None:
    ports = Ports()
    for number in range(FIRST, LAST + 1):
        ports.see(("other", str(number)), number, MADE)
    with pytest.raises(PortsExhausted, match="all 22768 ports"):
        ports.port(A)
    ports.free(("other", "20000"))
    assert ports.port(A) == 20000


@pytest.mark.parametrize("seed", range(20))
def test_two_never_have_the_same(seed: int) -> None:
    """Whatever is seen, moved, made and gone, in whichever order."""
    dice, ports = random.Random(seed), Ports()
    keys = [("shop", str(number)) for number in range(12)]
    has: dict[Key, int] = {}
    for _ in range(400):
        key = dice.choice(keys)
        if dice.random() < 0.2:
            ports.free(key)
            has.pop(key, None)
            continue
        moved = ports.see(key, dice.choice([*has.values(), 0, FIRST + dice.randrange(8)]), MADE)
        has[key] = ports.port(key)
        if moved is not None:
            has[moved] = ports.port(moved)
        assert len(set(has.values())) == len(has)
