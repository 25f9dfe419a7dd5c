"""How a budget is divided, step by step; the simulation plays what may happen in between."""

from dataclasses import replace

import pytest

from sluice_operator.decide.budget import (
    HOLD_SECONDS,
    Division,
    Member,
    Memory,
    Question,
    divide,
    even,
    order,
    smallest_budget,
    starters_share,
    wake_share,
)
from sluice_proxy.config import Fleet, PodShare


def fleet(total: int, others: int, **shares: int) -> Fleet:
    return Fleet(total, tuple(PodShare(pod, n) for pod, n in sorted(shares.items())), others)


def member(name: str, limit: int, **more: object) -> Member:
    """A pod that has taken the document and uses all it may."""
    return replace(Member(name, limit=limit, open=limit, current=True), **more)  # type: ignore[arg-type]


def shares(division: Division) -> dict[str, int]:
    return {item.pod: item.share for item in division.fleet.shares}


@pytest.mark.parametrize(
    ("budget", "replicas", "share"),
    [(450, 2, 15), (90, 1, 4), (90, 4, 1), (11, 5, 1), (10, 5, 0), (3, 1, 1), (2, 1, 0)],
)
def test_what_a_pod_takes_before_it_is_named(budget: int, replicas: int, share: int) -> None:
    assert starters_share(budget, replicas) == share
    assert (share > 0) is (budget >= smallest_budget(replicas))
    assert (replicas + 1) * share <= budget


def test_even_parts_differ_by_one_at_most() -> None:
    assert even(10, 3) == [4, 3, 3]
    assert even(-5, 2) == [0, 0]
    assert even(5, 0) == []


def test_until_a_pod_knows_the_budget_each_takes_a_small_part() -> None:
    first = divide(Question(2, None, Fleet()))
    assert first.fleet == Fleet(parts=3)
    assert first.fits
    more = divide(Question(5, None, first.fleet, (Member("a"), Member("b"))))
    assert more.fleet == Fleet(parts=3)
    assert not more.fits


def test_a_budget_that_nobody_knows_any_more_leaves_everything_as_it_was() -> None:
    present = fleet(90, 4, a=82)
    division = divide(Question(4, None, present, (Member("a"),)))
    assert division.fleet == present
    assert not division.fits


def test_pods_without_a_share_get_one_of_the_budget_that_was() -> None:
    """All that had one are gone; those that came may open nothing, and so learn of no budget."""
    present = fleet(90, 0, gone=45, lost=45)
    came = (member("a", 0), member("b", 0))
    first = divide(Question(2, None, present, came, now=100.0))
    assert shares(first).get("a", 0) == 0
    later = Question(2, None, first.fleet, came, first.memory, now=100.0 + HOLD_SECONDS)
    assert divide(later).fleet == fleet(90, 3, a=41, b=40)


def test_a_fleet_that_has_left_nothing_for_starters_makes_room_for_them() -> None:
    present = fleet(90, 0, a=45, b=45)
    first = divide(Question(2, 90, present, (member("a", 45), member("b", 45))))
    assert first.fleet == fleet(90, 0, a=41, b=40)
    assert not first.settled
    told = (member("a", 41), member("b", 40))
    second = divide(Question(2, 90, first.fleet, told))
    assert second.fleet == fleet(90, 3, a=41, b=40)
    assert divide(Question(2, 90, second.fleet, told)).settled


def test_the_first_division_names_everybody() -> None:
    present = Fleet(parts=3)
    question = Question(2, 90, present, (member("a", 3), member("b", 3)))
    division = divide(question)
    assert division.fleet == fleet(90, 3, a=41, b=40)
    assert not division.settled


def test_a_settled_fleet_stays_as_it_is() -> None:
    present = fleet(90, 3, a=41, b=40)
    division = divide(Question(2, 90, present, (member("a", 41), member("b", 40))))
    assert division.fleet == present
    assert division.settled
    assert division.fits


GROWN = fleet(90, 4, a=82)
"""One pod that has all but what is kept for those that start."""


def test_who_has_too_much_is_told_before_anybody_gets_more() -> None:
    two = (member("b", 4), member("a", 82))
    first = divide(Question(2, 90, GROWN, two))
    # Three may start: of those who did by this document b is one, so two more with 4, one with 3.
    assert shares(first) == {"a": 40, "b": 4}
    assert not first.settled
    # It has not read that yet: nobody gets more.
    slow = (member("b", 4), member("a", 82, current=False))
    assert shares(divide(Question(2, 90, first.fleet, slow))) == {"a": 40, "b": 4}
    # It has, and has still 50 open: the other gets what is left beside those.
    stuck = (member("b", 4), member("a", 40, open=50))
    assert shares(divide(Question(2, 90, first.fleet, stuck))) == {"a": 40, "b": 31}


def test_the_deployment_waits_until_there_is_room() -> None:
    first = divide(Question(4, 90, GROWN, (member("a", 82),)))
    assert not first.fits
    told = divide(Question(4, 90, first.fleet, (member("a", shares(first)["a"]),)))
    assert told.fits


def test_a_pod_that_drains_holds_what_it_says_and_no_more() -> None:
    present = fleet(90, 3, a=41, b=40)
    leaving = Member("a", terminating=True, limit=5, open=5, current=True)
    division = divide(Question(2, 90, present, (member("b", 40), member("c", 3), leaving)))
    assert sum(shares(division).values()) - shares(division)["a"] + 5 + 3 * 3 <= 90
    assert shares(division)["c"] > 3


@pytest.mark.parametrize("running", [True, False])
def test_a_silent_pod_keeps_its_share(running: bool) -> None:
    present = fleet(90, 3, a=41, b=40)
    division = divide(Question(2, 90, present, (member("a", 41), Member("b", running=running))))
    assert division.fleet == present


def test_a_silent_pod_is_believed_to_hold_what_it_held_last() -> None:
    """It was told to have less, and fell silent before it said so."""
    present = fleet(90, 3, a=20, b=40)
    memory = Memory(ceilings={"a": 60})
    division = divide(Question(2, 90, present, (Member("a"), member("b", 40)), memory))
    assert division.memory.ceilings["a"] == 60
    assert shares(division)["b"] <= 90 - 60


def test_a_pod_that_vanished_keeps_its_share_for_a_while() -> None:
    present = fleet(90, 3, a=41, b=40)
    alive = (member("b", 40), member("c", 3))
    first = divide(Question(2, 90, present, alive, now=100.0))
    assert shares(first)["a"] == 41
    assert shares(first).get("c", 3) <= 90 - 41 - 40 - 3
    later = Question(2, 90, first.fleet, alive, first.memory, now=100.0 + HOLD_SECONDS)
    assert "a" not in shares(divide(later))


def test_where_there_is_not_enough_the_newest_are_served_first() -> None:
    members = order([("2027-01-01", member("old", 1)), ("2027-01-02", member("new", 0))])
    assert [item.name for item in members] == ["new", "old"]
    first = divide(Question(2, 1, fleet(1, 0, old=1), members))
    assert shares(first)["old"] == 0
    gone = (member("new", 0), member("old", 0))
    assert shares(divide(Question(2, 1, first.fleet, gone))) == {"new": 1, "old": 0}


def test_who_runs_is_not_left_without_a_share_for_those_who_end() -> None:
    """Clients wait in it: with nothing it could only refuse them when it ends, too."""
    ending = member("a", 10, terminating=True), member("b", 10, terminating=True)
    runs = member("c", 1)
    division = divide(Question(1, 20, fleet(20, 1), (runs, *ending)))
    assert shares(division)["c"] == 1
    assert division.fleet.others == 0
    nothing = replace(runs, limit=0, open=0)
    assert "c" not in shares(divide(Question(1, 20, fleet(20, 0), (nothing, *ending))))


@pytest.mark.parametrize("running", [False, True])
def test_who_starts_is_not_left_without_a_share_for_those_who_end(running: bool) -> None:
    """It may have begun by the present document, and is counted with that in any case.

    Clients may reach one that runs before it answers the operator.
    """
    ending = member("a", 10, terminating=True), member("b", 10, terminating=True)
    starts = Member("c", running=running)
    first = divide(Question(1, 20, fleet(20, 1), (starts, *ending)))
    assert (shares(first)["c"], first.fleet.others) == (1, 0)
    again = divide(Question(1, 20, first.fleet, (starts, *ending), first.memory))
    assert again.fleet == first.fleet
    # By a document that gives nothing nobody has begun,
    assert "c" not in shares(divide(Question(1, 20, fleet(20, 0), (starts, *ending))))
    # but it may have by one before it, if that was there to have.
    left = Question(1, 21, fleet(21, 0), (starts, *ending))
    assert shares(divide(left))["c"] == 1


def test_what_a_pod_keeps_without_a_name_is_taken_from_it_by_name() -> None:
    keeps, newest = member("old", 1), member("new", 1)
    crowded = divide(Question(1, 1, fleet(1, 0), (newest, keeps)))
    assert shares(crowded) == {"new": 1, "old": 0}
    alone = divide(Question(1, 1, fleet(1, 0), (keeps,)))
    assert shares(alone) == {"old": 1}


def test_small_differences_are_left_alone_while_pods_come_and_go() -> None:
    present = fleet(90, 3, a=26, b=26)
    leaving = Member("c", terminating=True, limit=25, open=25, current=True)
    division = divide(Question(2, 90, present, (member("a", 26), member("b", 26), leaving)))
    assert shares(division) == {"a": 26, "b": 26}


def test_a_pod_that_ends_may_have_read_the_newest_document_last() -> None:
    leaving = Member("a", terminating=True, limit=10, open=10)
    division = divide(Question(2, 90, fleet(90, 3, a=41, b=40), (member("b", 40), leaving)))
    assert division.memory.ceilings["a"] == 41


@pytest.mark.parametrize(
    ("budget", "replicas", "share"), [(90, 2, 30), (90, 1, 45), (91, 3, 22), (3, 2, 1), (2, 2, 0)]
)
def test_what_a_pod_takes_that_was_woken(budget: int, replicas: int, share: int) -> None:
    assert wake_share(budget, replicas) == share
    assert (replicas + 1) * share <= budget


def asleep(fleet: Fleet, *members: Member) -> Question:
    """Nobody tells the budget any more."""
    return Question(2, None, fleet, members, asleep=True)


def test_who_sleeps_leaves_all_to_the_pods_that_will_be_woken() -> None:
    """All of them, and one that is there by accident, have room."""
    division = divide(asleep(fleet(90, 3)))
    assert division.fleet == fleet(90, 30)
    again = divide(asleep(division.fleet))
    assert again.fleet == division.fleet
    assert again.settled
    assert again.fits


def test_who_falls_asleep_leaves_what_its_last_pods_have_let_go() -> None:
    leaving = Member("a", terminating=True, limit=41, open=41, current=True)
    division = divide(asleep(fleet(90, 3, a=41), leaving))
    assert division.fleet == fleet(90, (90 - 41) // 3, a=41)
    gone = replace(asleep(division.fleet), memory=division.memory, now=1.0)
    assert divide(gone).fleet == division.fleet
    later = replace(gone, memory=divide(gone).memory, now=1.0 + HOLD_SECONDS)
    assert divide(later).fleet == fleet(90, 30)


def test_who_sleeps_and_never_knew_its_budget_goes_on_as_at_first() -> None:
    division = divide(asleep(Fleet(parts=3)))
    assert division.fleet == Fleet(parts=3)


WOKEN = fleet(90, 30)
"""What pods find that were woken while no operator looked."""


def test_the_document_stays_until_all_that_were_woken_run() -> None:
    """The second may be about to start by it: it would take 30 whatever is written now."""
    division = divide(Question(2, 90, WOKEN, (member("a", 30),)))
    assert division.fleet == WOKEN
    starting = divide(Question(2, 90, WOKEN, (member("a", 30), Member("b", running=False))))
    assert starting.fleet == WOKEN


def test_when_all_that_were_woken_run_each_gets_its_share() -> None:
    first = divide(Question(2, 90, WOKEN, (member("a", 30), member("b", 30))))
    assert first.fleet.others == starters_share(90, 2)
    told = (member("a", 30), member("b", 30))
    second = divide(Question(2, 90, first.fleet, told, first.memory))
    third = divide(Question(2, 90, second.fleet, (member("a", 41), member("b", 40))))
    assert third.fleet == fleet(90, 3, a=41, b=40)


def test_what_woken_pods_may_have_is_never_more_than_there_is() -> None:
    """One more may surge, as where a node is lost while they start."""
    three = (member("a", 30), member("b", 30), member("c", 30))
    division = divide(Question(2, 90, WOKEN, three))
    assert sum(shares(division).values()) <= 90
    assert division.fleet.others == 0


def test_who_may_yet_read_the_document_is_thought_of_in_it() -> None:
    """A pod that runs, says nothing and has no name may have what others get as well."""
    silent = Member("x")
    division = divide(Question(1, 20, fleet(20, 1), (silent,), asleep=True))
    assert division.fleet == fleet(20, 6)
    assert divide(Question(1, 20, division.fleet, (silent,), asleep=True)).fleet == fleet(20, 6)


def test_whose_process_has_ended_holds_nothing() -> None:
    before = fleet(20, 1, a=18)
    gone = divide(Question(1, 20, before, asleep=True))
    assert gone.fleet.others == 1
    ended = divide(Question(1, 20, before, asleep=True, finished=frozenset({"a"})))
    assert ended.fleet == fleet(20, 10)
