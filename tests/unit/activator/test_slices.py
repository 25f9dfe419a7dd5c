"""What slices mean, and what is left of them."""

from typing import Any

import pytest

from sluice_activator.slices import (
    READY,
    TERMINATING,
    UNREADY,
    BadSlice,
    Change,
    Directory,
    Registration,
    name_of,
    pods_of,
    registration_of,
)
from sluice_testing.slices_api import ACTIVATOR, endpoint, pods, registration

PROXY = ("shop", "orders")
OURS = ("shop", "orders-activator")


def test_a_registration() -> None:
    told = registration("orders", 12000, uid="u", replicas="3", trouble="no node", created="2026")
    expected = Registration(PROXY, 12000, "u", 3, "no node", "2026")
    assert registration_of(PROXY, told, "") == expected


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"uid": ""}, "sluice.dev/uid"),
        ({"port": 9999}, "10000 to 32767"),
        ({"port": 32768}, "10000 to 32767"),
        ({"replicas": "many"}, "sluice.dev/replicas"),
        ({"name": ""}, "kubernetes.io/service-name"),
    ],
)
def test_what_cannot_be_used(change: dict[str, Any], problem: str) -> None:
    fields = {"name": "orders", "port": 12000, **change}
    with pytest.raises(BadSlice, match=problem):
        registration_of(("shop", fields["name"]), registration(**fields), "")


@pytest.mark.parametrize(
    ("own", "serving", "named"),
    [
        (ACTIVATOR, True, True),
        (ACTIVATOR, False, False),
        ("10.0.0.1", True, False),
        ("", True, False),
    ],
)
def test_who_is_named(own: str, serving: bool, named: bool) -> None:
    told = registration("orders", 12000, serving=serving)
    assert registration_of(PROXY, told, own).names_us == named
    book = Directory(own)
    book.see(told)
    assert book.naming_us() == ({"shop"} if named else set())


def test_it_is_named_until_no_slice_does() -> None:
    book = Directory(ACTIVATOR)
    for name in ("orders", "roses"):
        book.see(registration(name, 12000))
    assert book.see(registration("orders", 12000, serving=False)) == [Change(PROXY, ports=False)]
    assert book.naming_us() == {"shop"}
    book.forget(("shop", "roses-activator"))
    assert book.naming_us() == set()


@pytest.mark.parametrize(
    ("conditions", "rank"),
    [
        ({}, READY),
        ({"ready": None}, READY),
        ({"ready": True}, READY),
        ({"ready": False, "serving": True}, UNREADY),
        ({"ready": False, "serving": True, "terminating": True}, TERMINATING),
        ({"ready": True, "terminating": True}, TERMINATING),
    ],
)
def test_the_conditions_of_a_pod(conditions: dict[str, Any], rank: int) -> None:
    told = {**pods("orders"), "endpoints": [{"addresses": ["a"], "conditions": conditions}]}
    assert pods_of(told) == {"a": rank}


def test_only_addresses_count() -> None:
    told = {**pods("orders", ready="db.example"), "addressType": "FQDN"}
    assert pods_of(told) == {}
    assert pods_of({"addressType": "IPv4", "endpoints": None}) == {}


def test_a_change_is_told_once() -> None:
    book = Directory()
    told = registration("orders", 12000)
    assert book.see(told) == [Change(PROXY, ports=True)]
    assert book.see(told) == []
    assert book.see(registration("orders", 12000, trouble="x")) == [Change(PROXY, ports=False)]
    moved = book.see(registration("orders", 12001))
    assert Change(PROXY, ports=True) in moved
    assert book.ports()[0] == {12001: PROXY}
    assert book.forget(OURS) == [Change(PROXY, ports=True)]
    assert book.forget(OURS) == []
    assert (book.registration(PROXY), book.proxies, book.ports()) == (None, 0, ({}, {}))


def test_pods_come_and_go() -> None:
    book = Directory()
    told = pods("orders", unready="10.0.0.1")
    assert book.see(told) == [Change(PROXY, ports=False)]
    assert book.see(told) == []
    book.see(pods("orders", ready="10.0.0.1"))
    assert book.pods(PROXY) == {"10.0.0.1": READY}
    assert book.forget(name_of(told)) == [Change(PROXY, ports=False)]
    assert book.pods(PROXY) == {}


def test_of_slices_without_endpoints_nothing_is_kept() -> None:
    book = Directory()
    assert book.see(pods("orders")) == []
    book.see(pods("orders", ready="10.0.0.1"))
    book.see(pods("orders"))
    assert book.names("") == []


def test_two_slices_of_one_service() -> None:
    """One for each family, or during a change: the better rank counts."""
    book = Directory()
    first, second = pods("orders"), pods("orders")
    second["metadata"] = {**second["metadata"], "name": "orders-fghij"}
    first["endpoints"] = [endpoint("a", "unready"), endpoint("b", "ready")]
    second["endpoints"] = [endpoint("a", "ready"), endpoint("b", "terminating")]
    book.see(first)
    book.see(second)
    assert book.pods(PROXY) == {"a": READY, "b": READY}
    book.forget(name_of(second))
    assert book.pods(PROXY) == {"a": UNREADY, "b": READY}


def test_two_registrations_of_one_proxy() -> None:
    """One for each family, with one port: neither loses."""
    book = Directory()
    other = registration("orders", 12000, created="2027", replicas="9")
    other["metadata"]["name"] = "orders-activator-ipv6"
    book.see(other)
    book.see(registration("orders", 12000, created="2026", replicas="1"))
    assert book.ports() == ({12000: PROXY}, {})
    found = book.registration(PROXY)
    assert found is not None
    assert found.replicas == 1
    book.forget(OURS)
    assert book.ports() == ({12000: PROXY}, {})


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_of_two_with_one_port_the_older_keeps_it(order: tuple[int, ...]) -> None:
    told = [
        registration("late", 12000, created="2026-02"),
        registration("early", 12000, created="2026-01"),
        registration("another", 12000, created="2026-02"),
    ]
    book = Directory()
    for number in order:
        book.see(told[number])
    ports, losers = book.ports()
    assert ports == {12000: ("shop", "early")}
    assert set(losers) == {("shop", "late-activator"), ("shop", "another-activator")}
    assert "shop/early" in losers[("shop", "late-activator")]
    book.forget(("shop", "early-activator"))
    assert book.ports()[0] == {12000: ("shop", "another")}


def test_a_slice_that_breaks_is_refused_and_forgotten() -> None:
    book = Directory()
    book.see(registration("orders", 12000))
    assert book.see(registration("orders", 80)) == [Change(PROXY, ports=True)]
    assert list(book.refused) == [OURS]
    assert book.registration(PROXY) is None
    book.see(registration("orders", 12000))
    assert book.refused == {}
    book.see(registration("orders", 80))
    book.forget(OURS)
    assert book.refused == {}


def test_the_names_of_a_scope() -> None:
    book = Directory()
    book.see(registration("orders", 12000))
    book.see(registration("roses", 12001, namespace="garden"))
    book.see(registration("bad", 80, namespace="garden"))
    book.see(pods("orders", ready="10.0.0.1"))
    assert sorted(book.names("garden")) == [
        ("garden", "bad-activator"),
        ("garden", "roses-activator"),
    ]
    assert len(book.names("")) == 4


def test_a_slice_of_no_service_has_no_pods() -> None:
    book = Directory()
    told = pods("", ready="10.0.0.1")
    assert book.see(told) == []
    assert book.names("") == []
