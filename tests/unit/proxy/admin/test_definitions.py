"""The metrics, read back by prometheus_client's own parser."""

from dataclasses import fields

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sluice_proxy.admin.definitions import COUNTERS, GAUGES, POOL_GAUGES, exposition
from sluice_proxy.admin.views import Gauges, PoolGauges
from sluice_proxy.metrics import Counters

POOL = PoolGauges("orders", 'o"app\n', open=5, borrowed=3, waiting=6, pinned=1)
ZERO = Gauges(0, 0, 0, 0, 0, 0, 0, 0, draining=False)


def scrape(counters: Counters, gauges: Gauges = ZERO) -> dict[str, Metric]:
    body, content_type = exposition(counters, gauges, "")
    assert content_type.startswith("text/plain")
    return {family.name: family for family in parse_text(body.decode())}


def value(families: dict[str, Metric], family: str) -> float:
    (sample,) = families[family].samples
    return sample.value


def test_every_counter_shows_its_field() -> None:
    counters = Counters()
    for number, field in enumerate(COUNTERS, start=1):
        setattr(counters, field, number)
    families = scrape(counters)
    for number, (name, _) in enumerate(COUNTERS.values(), start=1):
        assert value(families, name) == number
        assert families[name].samples[0].name == f"{name}_total"


def test_every_field_is_shown() -> None:
    assert {field.name for field in fields(Counters)} == {*COUNTERS, "pins", "borrow_wait"}
    assert {field.name for field in fields(Gauges)} == {*GAUGES, "pools"}
    assert {field.name for field in fields(PoolGauges)} == {*POOL_GAUGES, "database", "user"}


def test_every_gauge_shows_its_field() -> None:
    gauges = Gauges(
        45, 40, 28, 12, 2, 7, 300, 299, True, idle_seconds=7.5, look_interval=2e-4, pools=(POOL,)
    )
    families = scrape(Counters(), gauges)
    for field, (name, _) in GAUGES.items():
        assert value(families, name) == getattr(gauges, field)
    for field, (name, _) in POOL_GAUGES.items():
        (sample,) = families[name].samples
        assert sample.labels == {"database": "orders", "user": 'o"app\n'}
        assert sample.value == getattr(POOL, field)


def test_pins_by_reason() -> None:
    counters = Counters()
    counters.pinned("SET")
    counters.pinned("SET")
    counters.pinned("LISTEN")
    samples = scrape(counters)["sluice_pins"].samples
    assert {sample.labels["reason"]: sample.value for sample in samples} == {
        "SET": 2.0,
        "LISTEN": 1.0,
    }


def test_borrow_wait_is_a_cumulative_histogram() -> None:
    counters = Counters()
    for seconds in (0.0, 0.003, 0.003, 1000.0):
        counters.borrow_wait.observe(seconds)
    samples = scrape(counters)["sluice_borrow_wait_seconds"].samples
    buckets = {s.labels["le"]: s.value for s in samples if s.name.endswith("_bucket")}
    assert (buckets["0.001"], buckets["0.005"], buckets["300.0"]) == (1.0, 3.0, 3.0)
    assert buckets["+Inf"] == 4.0
    sums = {s.name: s.value for s in samples if not s.name.endswith("_bucket")}
    assert sums["sluice_borrow_wait_seconds_count"] == 4.0
    assert sums["sluice_borrow_wait_seconds_sum"] == pytest.approx(1000.006)


def test_the_process_is_measured_too() -> None:
    assert value(scrape(Counters()), "process_cpu_seconds") > 0


def test_openmetrics_for_those_who_prefer_it() -> None:
    counters = Counters()
    counters.pinned("SET")
    gauges = Gauges(1, 1, 1, 0, 0, 0, 0, 0, draining=False, pools=(POOL,))
    body, content_type = exposition(counters, gauges, "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    names = {family.name for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]
    assert {"sluice_build", "sluice_transactions", "sluice_borrow_wait_seconds"} <= names
