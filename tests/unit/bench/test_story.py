"""What is made of the fates of a crowd, and its goals."""

from typing import Any

from story import Tale, goals, poisson, summary
from story_client import Fate


def test_those_that_failed_are_counted_and_not_timed() -> None:
    fates = [Fate(0.0, 0.010, 0.002), Fate(0.0, 0.020, 0.004), Fate(error="too many clients")]
    found = summary(Tale(fates, 12, 1.5, 0.25, 0.1))
    assert (found["clients"], found["errors"]) == (3, 1)
    assert found["errors_by_text"] == {"too many clients": 1}
    assert found["connect_ms"] == {"p50": 10.0, "p99": 20.0}
    assert found["connect_and_query_ms"] == {"p50": 12.0, "p99": 24.0}


def test_where_nobody_was_served_there_are_no_times() -> None:
    found = summary(Tale([Fate(error="refused")], 0, 0.0, 0.0, 0.0))
    assert found["connect_ms"] == {"p50": None, "p99": None}


def judged(**changes: Any) -> list[bool]:
    pooled = {
        "errors": 0,
        "server_connections_max": 100,
        "connect_and_query_ms": {"p50": 20.2},
        **changes,
    }
    document = {
        "sluice": pooled,
        "direct": {"errors_by_text": {"sorry, too many clients already": 1}},
        "unloaded": {"warm_direct_query_ms": {"p50": 0.2}},
    }
    return [goal.met for goal in goals(document)]


def test_the_goals() -> None:
    assert judged() == [True, True, True, True]
    assert judged(errors=1, server_connections_max=101) == [False, False, True, True]
    assert judged(connect_and_query_ms={"p50": 20.3}) == [True, True, False, True]
    assert judged(connect_and_query_ms={"p50": None}) == [True, True, False, True]


def test_all_come_at_the_same_moments_each_time() -> None:
    moments = poisson(100, 7)
    assert moments == sorted(moments) == poisson(100, 7)
    assert 0 <= moments[0] <= moments[-1] <= 7
