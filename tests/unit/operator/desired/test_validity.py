"""Until when a user's certificate is good, and for whom: with the field and what to do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from sluice_operator import names
from sluice_operator.api.manifest import parse
from sluice_operator.api.v1alpha1 import Spec
from sluice_operator.desired.certificates import Kept, issued
from sluice_operator.desired.credentials import Secrets
from sluice_operator.desired.validity import is_timely, notes, problem
from sluice_proxy.config import Certificate
from sluice_testing.certificates import Authority
from sluice_testing.specs import manifest

AUTHORITY = Authority()
HOSTS = names.dns_names("orders", "shop")
DAY = 86400.0


def spec(**changes: Any) -> Spec:
    return parse(manifest({f"spec.{key}": value for key, value in changes.items()})).spec


GIVEN = spec(tls={"secretRef": {"name": "mine"}})


def secrets(certificate: Certificate) -> Secrets:
    pair = {"tls.crt": certificate.chain, "tls.key": certificate.private_key}
    return {"mine": {key: text.encode() for key, text in pair.items()}}


def made(*hosts: str, days: float = 30) -> Certificate:
    """It begins a day ago, and is good for so many days from now."""
    leaf = AUTHORITY.issue(*(hosts or HOSTS), days=days)
    return Certificate(leaf.chain, leaf.private_key)


MINE = made()
LEAF = x509.load_pem_x509_certificate(MINE.chain.encode())
BEGIN, END = LEAF.not_valid_before_utc.timestamp(), LEAF.not_valid_after_utc.timestamp()


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("now", [BEGIN - 299, BEGIN, END - 8 * DAY, END])
def test_within_its_dates_it_is_good(now: float) -> None:
    """A clock that is five minutes late is no reason to refuse one that was just issued."""
    assert problem(GIVEN, secrets(MINE), now) is None
    assert is_timely(MINE, now)


def test_it_expires() -> None:
    found = problem(GIVEN, secrets(MINE), END + 1)
    assert found is not None
    assert (found.path, found.reason) == ("spec.tls.secretRef", "CertificateExpired")
    assert found.sentence == f"the certificate in tls.crt of Secret mine expired on {stamp(END)}"
    assert not is_timely(MINE, END + 1)


def test_it_is_not_yet_valid() -> None:
    found = problem(GIVEN, secrets(MINE), BEGIN - 301)
    assert found is not None
    assert (found.path, found.reason) == ("spec.tls.secretRef", "CertificateNotYetValid")
    assert found.sentence.endswith(f"of Secret mine is not valid before {stamp(BEGIN)}")
    assert not is_timely(MINE, BEGIN - 301)


def test_only_the_leaf_counts() -> None:
    """As with the cross-signed roots of public CAs, which servers go on sending."""
    old = made("a CA of before", days=-0.5)
    both = Certificate(MINE.chain + old.chain, MINE.private_key)
    assert problem(GIVEN, secrets(both), END - DAY) is None
    assert is_timely(both, END - DAY)


def test_who_brings_none_has_no_problem_with_it() -> None:
    assert problem(spec(), {}, END + 1) is None
    assert notes(spec(), {}, HOSTS, END + 1) == ()


@pytest.mark.parametrize("certificate", [None, Certificate("nonsense", "")])
def test_what_is_no_certificate_is_not_timely(certificate: Certificate | None) -> None:
    assert not is_timely(certificate, BEGIN)


@pytest.mark.parametrize(
    ("days", "left", "is_told"),
    [
        (90, timedelta(days=8), False),
        (90, timedelta(days=6.9), True),
        (90, timedelta(seconds=-1), False),
        # Renewed by cert-manager when a third of its life is left.
        (5, timedelta(days=2), False),
        (5, timedelta(days=1.4), True),
    ],
)
def test_an_end_that_is_near_is_told(days: float, left: timedelta, is_told: bool) -> None:
    certificate = made(days=days)
    leaf = x509.load_pem_x509_certificate(certificate.chain.encode())
    end = leaf.not_valid_after_utc.timestamp()
    told = notes(GIVEN, secrets(certificate), HOSTS, end - left.total_seconds())
    sentence = f"the certificate of Secret mine expires on {stamp(end)}: renew it"
    assert told == ((f"spec.tls.secretRef: {sentence}",) if is_told else ())


@pytest.mark.parametrize(
    "host",
    [
        "orders", "orders.shop", "orders.shop.svc", "orders.shop.svc.cluster.local",
        "Orders.Shop.SVC", "*.shop.svc", "*.shop",
    ],
)  # fmt: skip
def test_one_of_the_services_hosts_is_enough(host: str) -> None:
    assert notes(GIVEN, secrets(made("db.example.com", host)), HOSTS, BEGIN) == ()


@pytest.mark.parametrize(
    "host", ["db.example.com", "orders.shop.svc.example", "*.svc", "*.orders.shop.svc", "10.0.0.7"]
)
def test_other_hosts_are_told(host: str) -> None:
    (note,) = notes(GIVEN, secrets(made(host)), HOSTS, BEGIN)
    assert note.startswith("spec.tls.secretRef: the certificate of Secret mine is for none of ")
    assert "orders.shop.svc, orders.shop.svc.cluster.local, orders.shop, orders:" in note


def test_a_certificate_without_alternative_names_is_for_nobody() -> None:
    """Such as a CA's own."""
    bare = issued("shop/orders", HOSTS, BEGIN, Kept()).ca
    (note,) = notes(GIVEN, secrets(Certificate(bare.certificate, bare.key)), HOSTS, BEGIN)
    assert "is for none of" in note


def test_what_a_condition_tells_has_no_notes() -> None:
    misfit = Certificate(MINE.chain, made().private_key)
    assert notes(GIVEN, secrets(misfit), ("another",), BEGIN) == ()
    assert notes(GIVEN, {}, ("another",), BEGIN) == ()
