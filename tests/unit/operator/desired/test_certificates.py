"""Own certificates: issued once, kept while they do, renewed in time."""

import ssl
from datetime import timedelta

import pytest
from cryptography import x509

from sluice_operator.desired.certificates import CA_LIFE, LEAF_LIFE, Pair, issued

NOW = 1_800_000_000.0
HOSTS = ("orders.shop.svc", "orders", "127.0.0.1")
FIRST = issued("shop/orders", HOSTS, NOW, None, None)


def later(life: timedelta, part: float) -> float:
    return NOW + life.total_seconds() * part


def test_what_is_good_is_kept() -> None:
    assert issued("shop/orders", HOSTS, NOW, FIRST.ca, FIRST.leaf) == FIRST
    assert issued("shop/orders", HOSTS, later(LEAF_LIFE, 0.66), FIRST.ca, FIRST.leaf) == FIRST


def test_a_leaf_in_its_last_third_is_renewed_by_the_same_ca() -> None:
    again = issued("shop/orders", HOSTS, later(LEAF_LIFE, 0.67), FIRST.ca, FIRST.leaf)
    assert again.ca == FIRST.ca
    assert again.leaf != FIRST.leaf


def test_a_ca_in_its_last_third_is_renewed_with_its_leaf() -> None:
    again = issued("shop/orders", HOSTS, later(CA_LIFE, 0.67), FIRST.ca, FIRST.leaf)
    assert again.ca != FIRST.ca
    assert again.leaf != FIRST.leaf


def test_other_names_need_another_leaf() -> None:
    again = issued("shop/orders", (*HOSTS, "more"), NOW, FIRST.ca, FIRST.leaf)
    assert again.ca == FIRST.ca
    names = x509.load_pem_x509_certificate(again.leaf.certificate.encode()).extensions
    assert "more" in str(names.get_extension_for_class(x509.SubjectAlternativeName).value)


@pytest.mark.parametrize(
    "leaf",
    [
        Pair("nonsense", "nonsense"),
        Pair(FIRST.leaf.certificate, FIRST.ca.key),
        issued("foreign", HOSTS, NOW, None, None).leaf,
        FIRST.ca,
    ],
    ids=["nonsense", "another key", "another CA", "no leaf at all"],
)
def test_a_leaf_that_will_not_do_is_replaced(leaf: Pair) -> None:
    again = issued("shop/orders", HOSTS, NOW, FIRST.ca, leaf)
    assert again.ca == FIRST.ca
    assert again.leaf != leaf


def test_a_ca_without_its_key_is_replaced() -> None:
    broken = Pair(FIRST.ca.certificate, FIRST.leaf.key)
    assert issued("shop/orders", HOSTS, NOW, broken, FIRST.leaf).ca != FIRST.ca


def test_a_client_can_verify_it() -> None:
    leaf = x509.load_pem_x509_certificate(FIRST.leaf.certificate.encode())
    ca = x509.load_pem_x509_certificate(FIRST.ca.certificate.encode())
    leaf.verify_directly_issued_by(ca)
    context = ssl.create_default_context(cadata=FIRST.ca.certificate)
    assert context.cert_store_stats()["x509_ca"] == 1
