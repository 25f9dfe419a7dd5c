"""From pgbench's log and readings of CPU to ratios and goals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cases import OWN_EXTENDED, Case, cases, peer_of, wanted
from compare import compare
from contenders import DIRECT, PGBOUNCER, SLUICE, Contender, prepares
from goals import Goal, goals
from pgbench import Ended, Reading, Sample, Work, _logged, measured
from readings import Cpu

from sluice_testing.door import Door

SAMPLE = Sample(10.0, 1.0, 9.0, 100.0, 1.0, 2.0, 100, 1.0, 0.1)
FIELD = [Contender(name, Door("h", 1, "")) for name in (DIRECT, PGBOUNCER, SLUICE)]


def readings(*at: float) -> list[Reading]:
    """One whose CPU is at work a tenth of the time, a quarter of that for the user."""
    return [Reading(second, Cpu(second / 10, second / 40, 3 * second / 40)) for second in at]


def test_only_what_ended_between_two_readings_counts() -> None:
    every = [Ended(100 + step / 100, 1000 + step, "0") for step in range(200)]
    found = measured(readings(99.0, 100.2, 100.5, 101.0, 101.5, 103.0), every)
    assert found is not None
    assert found.transactions == 100  # of 100.5 up to 101.5, the warm-up before it aside
    assert found.tps == pytest.approx(100)
    assert found.cpu_us == pytest.approx(1000)
    assert found.user_us == pytest.approx(250)
    assert found.system_us == pytest.approx(750)
    assert found.busy == pytest.approx(0.1)
    assert (found.p50_ms, found.p99_ms) == (1.099, 1.148)


def test_what_goes_before_each_client_s_first_transaction_does_not_count() -> None:
    every = [Ended(100 + step / 100, 1000, str(step == 60)) for step in range(200)]
    found = measured(readings(100.5, 101.0, 101.5), every)
    assert found is not None
    assert (found.transactions, found.seconds) == (50, 0.5)


def test_too_short_a_run_is_no_sample() -> None:
    every = [Ended(100 + step / 100, 1000, "0") for step in range(40)]
    assert measured(readings(100.0, 100.1, 100.35), every) is None


def test_the_direct_server_costs_no_proxy_anything() -> None:
    every = [Ended(100 + step / 100, 1000, "0") for step in range(200)]
    found = measured([replace(one, cpu=Cpu()) for one in readings(100.5, 101.5)], every)
    assert found is not None
    assert (found.cpu_us, found.user_us, found.system_us) == (0, 0, 0)


def test_the_logs_of_all_threads_are_one_in_order(tmp_path: Path) -> None:
    (tmp_path / "pgbench_log.7").write_text("0 1 1500 0 100 20\n0 2 900 0 102 0\n")
    (tmp_path / "pgbench_log.7.1").write_text("1 1 700 0 101 500000\n")
    assert _logged(tmp_path) == [
        Ended(100.00002, 1500, "0"),
        Ended(101.5, 700, "1"),
        Ended(102.0, 900, "0"),
    ]


def test_a_ratio_is_taken_round_by_round() -> None:
    samples = {
        DIRECT: [replace(SAMPLE, p99_ms=1.0), replace(SAMPLE, p99_ms=5.0), SAMPLE],
        PGBOUNCER: [replace(SAMPLE, cpu_us=us) for us in (10.0, 20.0, 40.0)],
        SLUICE: [replace(SAMPLE, cpu_us=us, p99_ms=6.0) for us in (9.0, 20.0, 44.0)],
    }
    found = compare(samples, PGBOUNCER)
    assert (found["ratio"], found["spread"]) == (1.0, [0.9, 1.1])
    assert (found["sluice_us"], found["peer_us"]) == (20.0, 20.0)
    assert found["added_ms"][SLUICE]["p99"] == {"median": 4.0, "min": 1.0, "max": 5.0}


@pytest.mark.parametrize(
    ("mode", "able", "labels", "peer"),
    [
        ("simple", False, [DIRECT, PGBOUNCER, SLUICE], PGBOUNCER),
        ("prepared", False, [DIRECT, SLUICE, OWN_EXTENDED], OWN_EXTENDED),
        ("prepared", True, [DIRECT, PGBOUNCER, SLUICE, OWN_EXTENDED], PGBOUNCER),
    ],
)
def test_who_takes_part(mode: str, able: bool, labels: list[str], peer: str) -> None:
    entries = Case("x", Work("select", mode, False, 50)).field(FIELD, able)
    assert [entry.label for entry in entries] == labels
    assert peer_of(entries) == peer
    assert {entry.work.mode for entry in entries if entry.label == OWN_EXTENDED} <= {"extended"}


def test_all_cases_are_there_once() -> None:
    names = [case.name for case in cases()]
    assert len(names) == len(set(names)) == 1 + 2 * 3 * 2 * 3
    assert names[1].endswith("/50")


def test_cases_are_chosen_by_parts_of_their_names() -> None:
    assert wanted("select/simple/plain/50", "")
    assert wanted("select/simple/plain/50", "tpcb, simple/plain/50")
    assert not wanted("select/simple/plain/50", "tpcb,connects")


@pytest.mark.parametrize(("said", "able"), [("1.18.0", False), ("1.21.0", True), ("1.25.2", True)])
def test_which_pgbouncer_can_prepare(said: str, able: bool, tmp_path: Path) -> None:
    binary = tmp_path / "pgbouncer"
    binary.write_text(f"#!/bin/sh\necho PgBouncer {said}\n")
    binary.chmod(0o755)
    assert prepares(str(binary)) is able


def judged(name: str, **changes: Any) -> dict[str, bool]:
    case: dict[str, Any] = {
        "ratios": {PGBOUNCER: {"median": 0.97}, OWN_EXTENDED: {"median": 1.01}},
        "added_ms": {PGBOUNCER: {"p99": {"median": 2.0}}, SLUICE: {"p99": {"median": 2.0}}},
        "connects_per_cpu_second": {"ratio": 0.66},
        **changes,
    }
    return {goal.name: goal.met for goal in goals({"cases": {name: case}, "memory": {}})}


def test_the_goals_of_cases() -> None:
    cpu, p99 = ": CPU, of PgBouncer's", ": added p99, ms, to PgBouncer's"
    plain, over_tls = "select/simple/plain/50", "tpcb/extended/tls/50"
    assert judged(plain) == {plain + cpu: False, plain + p99: True}
    assert judged(over_tls) == {over_tls + cpu: True, over_tls + p99: True}
    assert list(judged("select/prepared/tls/50").values()) == [False, True]
    assert list(judged("connects/tls").values()) == [False]
    assert judged("select/simple/plain/400") == {}


def test_the_goals_of_a_crowd() -> None:
    crowd = {"answered": 10_000, "idle_kib": 8.0, "queried_kib": 8.1}
    memory = {"memory/plain/10000": {SLUICE: crowd}}
    assert [goal.met for goal in goals({"cases": {}, "memory": memory})] == [True, True, False]


def test_a_crowd_that_could_not_be_is_a_goal_missed() -> None:
    memory = {"memory/plain/10000": {SLUICE: {"missing": "descriptors"}}}
    [goal] = goals({"cases": {}, "memory": memory})
    assert not goal.met


def test_a_goal_says_what_it_is() -> None:
    assert str(Goal("x", 0.96, 0.95)) == "MISSED x: 0.96 <= 0.95"
    assert Goal("x", 3, 1, at_least=True).document()["met"] is True
