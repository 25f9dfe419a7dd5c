"""Who shares a database, under whichever of its names, and asks for too much of it."""

import pytest

from sluice_operator.api.manifest import parse
from sluice_operator.api.v1alpha1 import Target
from sluice_operator.decide.overcommit import (
    NAMED,
    Claim,
    Claims,
    Overcommit,
    Rival,
    claim,
    database,
    sentence,
)
from sluice_testing.specs import manifest

SERVICE = ("db.shop.svc", 5432)


@pytest.mark.parametrize(
    ("host", "namespace", "port", "same"),
    [
        ("db", "shop", 5432, SERVICE),
        ("DB", "shop", 5432, SERVICE),
        ("db.shop", "till", 5432, SERVICE),
        ("db.shop.svc", "till", 5432, SERVICE),
        ("db.Shop.svc.cluster.local", "till", 5432, SERVICE),
        ("db.shop.svc.cluster.local.", "till", 5432, SERVICE),
        ("db", "till", 5432, ("db.till.svc", 5432)),
        ("db", "shop", 5433, ("db.shop.svc", 5433)),
        ("PG.Example.com.", "shop", 5432, ("pg.example.com", 5432)),
        ("10.1.2.3", "shop", 5432, ("10.1.2.3", 5432)),
        ("fd00:0:0::5", "shop", 5432, ("fd00::5", 5432)),
    ],
)
def test_one_form_for_all_spellings(
    host: str, namespace: str, port: int, same: tuple[str, int]
) -> None:
    target = Target.model_construct(host=host, port=port)
    assert database(target, namespace) == same


def test_the_claim_of_a_proxy() -> None:
    changes = {"spec.connectionPool.maxConnectionsPercent": 30}
    assert claim(parse(manifest(changes))) == Claim(30, frozenset((SERVICE,)))
    assert claim(parse(manifest())).percent == 100


def of(percent: int, *hosts: str) -> Claim:
    return Claim(percent, frozenset((host, 5432) for host in hosts))


A, B, C = ("shop", "a"), ("shop", "b"), ("till", "c")


def test_who_asks_for_too_much_together() -> None:
    claims = Claims()
    assert claims.put(A, of(60, "db")) == frozenset()
    assert claims.put(B, of(40, "db")) == frozenset()
    assert claims.overcommit(A) is None
    assert claims.put(C, of(1, "db")) == {A, B}
    assert claims.overcommit(A) == Overcommit(60, (Rival("shop", "b", 40), Rival("till", "c", 1)))
    assert claims.overcommit(C) == Overcommit(1, (Rival("shop", "a", 60), Rival("shop", "b", 40)))
    found = claims.overcommit(A)
    assert found is not None
    assert found.total == 101


@pytest.mark.parametrize("better", [None, of(40, "db"), of(90, "elsewhere")])
def test_the_others_hear_of_it_when_it_is_over(better: Claim | None) -> None:
    claims = Claims()
    claims.put(A, of(60, "db"))
    claims.put(B, of(60, "db"))
    assert claims.put(B, of(60, "db")) == frozenset()
    assert claims.put(B, better) == {A}
    assert claims.overcommit(A) is None
    assert claims.overcommit(B) is None


def test_a_change_among_too_many_is_told() -> None:
    claims = Claims()
    claims.put(A, of(100, "db"))
    claims.put(B, of(100, "db"))
    assert claims.put(B, of(50, "db")) == {A}
    assert claims.overcommit(A) == Overcommit(100, (Rival("shop", "b", 50),))


def test_another_database_is_nobodys_business() -> None:
    claims = Claims()
    claims.put(A, of(100, "db"))
    assert claims.put(B, of(100, "elsewhere")) == frozenset()
    assert claims.overcommit(A) is None
    assert claims.overcommit(("never", "seen")) is None


def test_the_worst_of_several_databases_counts() -> None:
    claims = Claims()
    claims.put(A, of(60, "one", "two", "three"))
    claims.put(B, of(50, "one"))
    claims.put(C, of(90, "two"))
    assert claims.overcommit(A) == Overcommit(60, (Rival("till", "c", 90),))


def test_what_is_forgotten_leaves_nothing() -> None:
    claims = Claims()
    claims.put(A, of(60, "db"))
    claims.put(A, None)
    assert claims.put(A, None) == frozenset()
    assert claims.put(B, of(100, "db")) == frozenset()
    assert claims.overcommit(B) is None


def test_a_crowd_is_counted() -> None:
    rivals = tuple(Rival("shop", f"p{n:02}", 10) for n in range(NAMED + 3))
    text = sentence(Overcommit(20, rivals))
    assert "20 % here and 10 % of shop/p00, " in text
    assert "10 % of shop/p09 and 3 more are 150 % of one database" in text
    assert "p10" not in text
