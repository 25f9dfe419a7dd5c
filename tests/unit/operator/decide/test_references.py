"""A changed Secret leads to exactly the proxies that use it."""

from typing import Any

from sluice_operator.api.manifest import parse
from sluice_operator.api.v1alpha1 import DatabaseProxy
from sluice_operator.decide.references import ReferenceIndex, references
from sluice_testing.specs import manifest

ORDERS, BILLS = ("shop", "orders"), ("shop", "bills")
SHARED = ("Secret", "shop", "shared")


def proxy_of(changes: dict[str, Any]) -> DatabaseProxy:
    return parse(manifest(changes))


def test_what_a_proxy_refers_to() -> None:
    proxy = proxy_of(
        {
            "spec.targets.0.host": "db.data.svc",
            "spec.tls": {"secretRef": {"name": "mine"}},
            "spec.targetTLS": {"mode": "VerifyCA", "caSecretRef": {"name": "ca"}},
        }
    )
    assert references(proxy) >= {
        ("Secret", "shop", "orders-app"),
        ("Secret", "shop", "mine"),
        ("Secret", "shop", "ca"),
        ("Service", "data", "db"),
    }


def test_a_proxy_waits_for_names_that_are_taken() -> None:
    assert ("Service", "shop", "orders") in references(proxy_of({}))


def test_the_index_follows() -> None:
    index = ReferenceIndex()
    index.put(ORDERS, [SHARED, ("Secret", "shop", "orders-app")])
    index.put(BILLS, [SHARED])
    assert index.holders(SHARED) == {ORDERS, BILLS}
    index.put(ORDERS, [("Secret", "shop", "orders-app")])
    assert index.holders(SHARED) == {BILLS}
    index.put(BILLS, [])
    assert index.holders(SHARED) == frozenset()
    assert len(index) == 1
