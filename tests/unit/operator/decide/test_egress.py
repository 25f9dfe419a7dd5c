"""Which hosts may be Services, and where egress goes."""

from typing import Any

import pytest

from sluice_operator.api.manifest import parse
from sluice_operator.api.v1alpha1 import Spec
from sluice_operator.decide.egress import egress, notes, service_of, services_of
from sluice_operator.desired.inputs import ToPods, ToRanges
from sluice_testing.specs import manifest


def spec(host: str, port: int = 5432, cidrs: tuple[str, ...] = ()) -> Spec:
    changes = {
        "spec.targets": [{"host": host, "port": port}],
        "spec.network.databaseCIDRs": list(cidrs),
    }
    return parse(manifest(changes)).spec


def service(selector: Any, *ports: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"selector": selector, "ports": list(ports)}}


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("db", ("shop", "db")),
        ("db.data", ("data", "db")),
        ("db.data.svc", ("data", "db")),
        ("DB.data.svc.cluster.local", ("data", "db")),
        ("db.example.com", None),
        ("orders.abc.eu-west-1.rds.amazonaws.com", None),
        ("10.0.0.7", None),
        ("fd00::7", None),
    ],
)
def test_hosts_that_may_be_services(host: str, key: tuple[str, str] | None) -> None:
    assert service_of(host, "shop") == key
    assert services_of(spec(host), "shop") == (frozenset() if key is None else {key})


def test_an_address_is_let_through_alone() -> None:
    assert egress(spec("10.0.0.7"), "shop", {}) == (ToRanges(("10.0.0.7/32",), 5432),)
    assert egress(spec("fd00::7"), "shop", {}) == (ToRanges(("fd00::7/128",), 5432),)


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        (({"port": 5432, "targetPort": 6000},), 6000),
        (({"port": 5432, "targetPort": "server"},), "server"),
        (({"port": 5432},), 5432),
        (({"port": 80, "targetPort": 8080},), 5432),
    ],
)
def test_a_service_means_its_pods(ports: tuple[dict[str, Any], ...], expected: Any) -> None:
    services = {("shop", "db"): service({"b": "2", "a": "1"}, *ports)}
    assert egress(spec("db"), "shop", services) == (
        ToPods("shop", (("a", "1"), ("b", "2")), expected),
    )


@pytest.mark.parametrize("services", [{}, {("shop", "db"): service(None, {"port": 5432})}])
def test_a_service_without_pods_is_anywhere_and_said_so(services: dict[Any, Any]) -> None:
    rules = egress(spec("db"), "shop", services)
    assert rules == (ToRanges((), 5432),)
    (note,) = notes(spec("db"), "shop", rules, ())
    assert note.startswith("spec.network.databaseCIDRs: ")
    assert note.endswith("db is neither an address nor a Service with pods")


def test_a_service_that_may_not_be_read_is_told_from_none() -> None:
    given = spec("db.data")
    rules = egress(given, "shop", {})
    (note,) = notes(given, "shop", rules, {("data", "db")})
    assert note.startswith("spec.network.databaseCIDRs: egress to port 5432 is open to any address")
    assert "may not read Services in namespace data, where db.data may be one" in note
    assert note.endswith("or add data to watchNamespaces of the operator's chart")
    (other,) = notes(given, "shop", rules, {("data", "another")})
    assert "neither an address nor a Service" in other


def test_where_ranges_are_given_it_does_not_matter_what_may_be_read() -> None:
    given = spec("db.data", cidrs=("10.0.0.0/8",))
    rules = egress(given, "shop", {})
    assert notes(given, "shop", rules, {("data", "db")}) == ()


def test_a_name_outside_is_within_the_ranges_given() -> None:
    given = spec("db.example.com", cidrs=("10.0.0.0/8",))
    rules = egress(given, "shop", {})
    assert rules == (ToRanges(("10.0.0.0/8",), 5432),)
    assert notes(given, "shop", rules, ()) == ()
