"""Own certificates: issued once, kept while they do, renewed in time."""

import ssl
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sluice_operator.desired.certificates import CA_LIFE, LEAF_LIFE, Kept, Pair, issued

NOW = 1_800_000_000.0
HOSTS = ("orders.shop.svc", "orders", "127.0.0.1")
FIRST = issued("shop/orders", HOSTS, NOW, Kept())
KEPT = Kept(FIRST.ca, FIRST.leaf, FIRST.trusted)


def later(life: timedelta, part: float) -> float:
    return NOW + life.total_seconds() * part


def test_what_is_good_is_kept() -> None:
    assert issued("shop/orders", HOSTS, NOW, KEPT) == FIRST
    assert issued("shop/orders", HOSTS, later(LEAF_LIFE, 0.66), KEPT) == FIRST


def test_a_leaf_in_its_last_third_is_renewed_by_the_same_ca() -> None:
    again = issued("shop/orders", HOSTS, later(LEAF_LIFE, 0.67), KEPT)
    assert again.ca == FIRST.ca
    assert again.leaf != FIRST.leaf


def cas(bundle: str) -> list[str]:
    certificates = x509.load_pem_x509_certificates(bundle.encode())
    return [item.public_bytes(Encoding.PEM).decode() for item in certificates]


def test_a_new_ca_joins_the_old_one_before_it_signs() -> None:
    """The leaf is young: clients that hold the old CA alone go on verifying it."""
    now = later(CA_LIFE, 0.67)
    leaf = issued("shop/orders", HOSTS, later(CA_LIFE, 0.666), KEPT).leaf
    again = issued("shop/orders", HOSTS, now, replace(KEPT, leaf=leaf))
    assert again.ca != FIRST.ca
    assert again.leaf == leaf
    assert cas(again.trusted) == [again.ca.certificate, FIRST.ca.certificate]
    kept = Kept(again.ca, again.leaf, again.trusted)
    last = issued("shop/orders", HOSTS, now + 0.7 * LEAF_LIFE.total_seconds(), kept)
    assert last.ca == again.ca
    signer = x509.load_pem_x509_certificate(again.ca.certificate.encode())
    x509.load_pem_x509_certificate(last.leaf.certificate.encode()).verify_directly_issued_by(signer)
    assert last.trusted == again.trusted


def test_a_lost_ca_stays_known_while_its_leaf_is_shown() -> None:
    again = issued("shop/orders", HOSTS, NOW, replace(KEPT, ca=None))
    assert again.ca != FIRST.ca
    assert again.leaf == FIRST.leaf
    assert FIRST.ca.certificate in cas(again.trusted)


def test_a_ca_that_expired_is_known_no_more() -> None:
    late = later(CA_LIFE, 1.01)
    again = issued("shop/orders", HOSTS, late, KEPT)
    assert cas(again.trusted) == [again.ca.certificate]


def test_a_bundle_that_is_none_is_left_out() -> None:
    again = issued("shop/orders", HOSTS, NOW, replace(KEPT, trusted="nonsense"))
    assert cas(again.trusted) == [FIRST.ca.certificate]


def test_other_names_need_another_leaf() -> None:
    again = issued("shop/orders", (*HOSTS, "more"), NOW, KEPT)
    assert again.ca == FIRST.ca
    names = x509.load_pem_x509_certificate(again.leaf.certificate.encode()).extensions
    assert "more" in str(names.get_extension_for_class(x509.SubjectAlternativeName).value)


@pytest.mark.parametrize(
    "leaf",
    [
        Pair("nonsense", "nonsense"),
        Pair(FIRST.leaf.certificate, FIRST.ca.key),
        issued("foreign", HOSTS, NOW, Kept()).leaf,
        FIRST.ca,
    ],
    ids=["nonsense", "another key", "another CA", "no leaf at all"],
)
def test_a_leaf_that_will_not_do_is_replaced(leaf: Pair) -> None:
    again = issued("shop/orders", HOSTS, NOW, replace(KEPT, leaf=leaf))
    assert again.ca == FIRST.ca
    assert again.leaf != leaf


def test_a_ca_without_its_key_is_replaced() -> None:
    broken = Pair(FIRST.ca.certificate, FIRST.leaf.key)
    assert issued("shop/orders", HOSTS, NOW, replace(KEPT, ca=broken)).ca != FIRST.ca


def test_a_client_can_verify_it() -> None:
    leaf = x509.load_pem_x509_certificate(FIRST.leaf.certificate.encode())
    ca = x509.load_pem_x509_certificate(FIRST.ca.certificate.encode())
    leaf.verify_directly_issued_by(ca)
    context = ssl.create_default_context(cadata=FIRST.ca.certificate)
    assert context.cert_store_stats()["x509_ca"] == 1
