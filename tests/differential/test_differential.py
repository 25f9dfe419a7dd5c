"""The scripts of `make differential` on the newest server, with fewer generated ones."""

from collections.abc import Iterator
from typing import Any

import pytest

from comparison import generated
from comparison.cell import Cell, Truth, whole_truth
from comparison.findings import Tally, difference
from comparison.ground import Ground
from comparison.normalise import BY_NAME
from comparison.whole import Plan, findings
from sluice_testing.door import Door
from sluice_testing.fixtures import MakeConfig, StartProxy
from sluice_testing.raw import Message, query
from sluice_testing.stories import CLOSED, HUNG, Story, Transcript, story
from wirescripts.catalogue import SCRIPTS

PLAN = Plan(generated=100, short=100)
NEWEST = 18
# Pitfalls of transaction poolers that a script can show: accounting, prepared statements,
# COPY, session state, leaving and framing. Others need failures, or a look inside.
PITFALLS = {*range(1, 36), 60, 61, 62}
ELSEWHERE = {
    9: "unasked bytes on an idle server connection: the playbooks' fake servers",
    10: "reads that are broken off: the playbooks, the isolation test",
    19: "eviction from a server connection: the limits' own tests",
    25: "bounds of memory: the limits' own tests",
    30: "replication: the login's tests",
}


@pytest.fixture(scope="module")
def ground(servers: Any) -> Iterator[Ground]:
    """On the shared server of the newest major."""
    ground = Ground(servers.shared(NEWEST))
    yield ground
    ground.close()


@pytest.fixture(scope="module")
def direct(ground: Ground) -> Door:
    return Door(ground.server.host, ground.server.port, "")


@pytest.fixture(scope="module")
def told(ground: Ground, direct: Door) -> Truth:
    """What PostgreSQL itself answers."""
    return whole_truth(ground, direct, [*PLAN.written(NEWEST), *PLAN.by_dice()])


@pytest.mark.parametrize("pool", [1, 5])
def test_every_script(
    ground: Ground,
    direct: Door,
    told: Truth,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    pool: int,
) -> None:
    proxy = start_proxy(make_config(ground.server, budget=pool, users=ground.users()))
    cell = Cell(ground, Door(proxy.host, proxy.port, ""), told, Tally(NEWEST, pool), alone=False)
    different = [str(finding) for finding in findings(cell, PLAN, direct) if finding]
    cell.close()
    assert not different, "\n".join(different)


def test_there_are_enough_scripts_and_each_pitfall_has_one() -> None:
    shown = {number for script in SCRIPTS for number in script.pitfalls}
    assert len({script.name for script in SCRIPTS}) == len(SCRIPTS) >= 300
    assert shown == PITFALLS - ELSEWHERE.keys()


def test_every_exception_is_one_of_the_list_and_is_needed() -> None:
    named = {name for script in SCRIPTS for name in script.exceptions}
    assert named | {"last_words"} == BY_NAME.keys()


OID = b"\0\1n\0\0\0\x40\1\0\1\0\0\0\x17\0\4\xff\xff\xff\xff\0\0"
OTHER_OID = OID.replace(b"\x40\1", b"\x40\2")
ANSWERS = [Message("T", OID), Message("D", b"\0\1\0\0\0\0011"), Message("Z", b"I")]
# What the second client hears instead; a list of messages is one step.
HEARD: dict[str, tuple[list[Message], str]] = {
    "the same": (ANSWERS, ""),
    "another table's number": ([Message("T", OTHER_OID), *ANSWERS[1:]], ""),
    "another row": ([ANSWERS[0], Message("D", b"\0\1\0\0\0\0012"), ANSWERS[2]], "step 1 of 1"),
    "a row less": ([ANSWERS[0], ANSWERS[2]], "step 1 of 1"),
    "another status": ([*ANSWERS[:2], Message("Z", b"T")], "step 1 of 1"),
    "a message more": ([*ANSWERS, Message("N", b"")], "step 1 of 1"),
    "nothing more": ([*ANSWERS[:2], HUNG], "hung after step 1 of 1"),
    "the end": ([*ANSWERS[:2], CLOSED], "step 1 of 1"),
}


@pytest.mark.parametrize("case", HEARD)
def test_what_counts_as_a_difference(case: str) -> None:
    heard, where = HEARD[case]
    script = story("one row", query("SELECT 1"))
    login = [Message("Z", b"I")]
    wanted: Transcript = [login, ANSWERS]
    assert difference(script, wanted, [login, heard]).split("\n")[0] == where


def test_a_step_that_never_came_is_a_difference() -> None:
    script = story("two rows", query("SELECT 1"), query("SELECT 1"))
    login = [Message("Z", b"I")]
    assert difference(script, [login, ANSWERS, ANSWERS], [login, ANSWERS])


def test_generated_scripts_are_the_same_each_time_and_others_by_another_seed() -> None:
    generated.made.cache_clear()
    first = generated.made(30)
    generated.made.cache_clear()
    assert generated.made(30) == first != generated.made(30, 1)
    assert len(first) == 30


def test_a_generated_script_that_fails_is_made_small() -> None:
    whole = generated.script((("begin", "error"), ("set", "show", "query"), ("end",)))

    def fails(script: Story) -> bool:
        return "show" in script.name and "error" in script.name

    small = generated.smallest(whole, fails)
    assert generated.names_of(small) == (("error",), ("show",))
