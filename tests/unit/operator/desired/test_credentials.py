"""Roles, CAs and certificates from Secrets; each problem with the field to blame."""

from typing import Any

import pytest

from sluice_operator.api.manifest import parse
from sluice_operator.api.v1alpha1 import Spec
from sluice_operator.desired.certificates import Kept, issued
from sluice_operator.desired.credentials import (
    Problem,
    given_ca,
    given_certificate,
    notes,
    secret_names,
    target_ca,
    users,
)
from sluice_proxy.config import User
from sluice_testing.specs import manifest

MINE = issued("mine", ("orders.shop.svc",), 1e9, Kept())
OTHER = issued("other", ("orders.shop.svc",), 1e9, Kept())


def spec(**changes: Any) -> Spec:
    return parse(manifest({f"spec.{key}": value for key, value in changes.items()})).spec


@pytest.mark.parametrize(
    ("data", "user"),
    [
        ({"username": b"app", "password": b"pw"}, User("app", "pw")),
        ({"user": b"app", "password": b"pw"}, User("app", "pw")),
        ({"username": b"app", "password": b"pw", "dbname": b"shop"},
         User("app", "pw", database="shop")),
        ({"username": b"app", "password": b"pw", "database": b"shop"},
         User("app", "pw", database="shop")),
        ({"uri": b"postgresql://app:p%40w@db:5432/shop?sslmode=require"},
         User("app", "p@w", database="shop")),
        ({"uri": b"postgres://app:pw@db"}, User("app", "pw")),
        # As operators of PostgreSQL write them: both forms in one Secret.
        ({"uri": b"postgresql://x:y@db/other", "username": b"app", "password": b"pw",
          "dbname": b"shop"}, User("app", "pw", database="shop")),
    ],
)  # fmt: skip
def test_forms_of_a_secret(data: dict[str, bytes], user: User) -> None:
    assert users(spec(), {"orders-app": data}) == (user,)


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (None, "SecretNotFound", "does not exist"),
        ({}, "SecretKeyNotFound", "Secret orders-app has no key username"),
        ({"username": b"app"}, "SecretKeyNotFound", "has no key password"),
        ({"username": b"app", "password": b""}, "SecretKeyNotFound", "an empty key password"),
        ({"username": b"app\n", "password": b"pw"}, "InvalidSecret", "white space"),
        ({"username": b"\xff", "password": b"pw"}, "InvalidSecret", "not UTF-8"),
        ({"username": b"a\0p", "password": b"pw"}, "InvalidSecret", "key username .* a zero byte"),
        ({"username": b"app", "password": b"p\0"}, "InvalidSecret", "key password .* a zero byte"),
        ({"username": b"app", "password": b"pw", "dbname": b"\0"}, "InvalidSecret", "key dbname"),
        ({"uri": b"postgres://a:b%00@c"}, "InvalidSecret", "key uri .* a zero byte"),
        ({"uri": b"postgres://a%00:b@c"}, "InvalidSecret", "key uri .* a zero byte"),
        ({"uri": b"postgres://a:b@c/d%00"}, "InvalidSecret", "key uri .* a zero byte"),
        ({"uri": b""}, "SecretKeyNotFound", "an empty key uri"),
        ({"uri": b"mysql://a:b@c"}, "InvalidSecret", "key uri"),
        ({"uri": b"postgres://a@c"}, "InvalidSecret", "key uri"),
        ({"uri": b"postgres://a:b@[c"}, "InvalidSecret", "key uri"),
    ],
)
def test_what_a_secret_may_lack(data: dict[str, bytes] | None, reason: str, words: str) -> None:
    secrets = {} if data is None else {"orders-app": data}
    with pytest.raises(Problem, match=words) as caught:
        users(spec(), secrets)
    assert caught.value.reason == reason
    assert caught.value.path.startswith("spec.auth[0].secretRef")


def test_two_secrets_of_one_role() -> None:
    both = spec(auth=[{"secretRef": {"name": "a"}}, {"secretRef": {"name": "b"}}])
    data = {"username": b"app", "password": b"pw"}
    with pytest.raises(Problem, match="Secrets a and b are both of the role app") as caught:
        users(both, {"a": data, "b": data})
    assert caught.value.path == "spec.auth[1].secretRef"


def test_no_problem_tells_a_secret() -> None:
    for data in (
        {"uri": b"mysql://a:hidden@c"},
        {"uri": b"postgres://a:hidden%00@c"},
        {"username": b"a\n", "password": b"hidden"},
        {"username": b"a", "password": b"hidden\0"},
    ):
        with pytest.raises(Problem) as caught:
            users(spec(), {"orders-app": data})
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_password_that_ends_with_a_line_break_is_taken_and_told(end: bytes) -> None:
    two = spec(auth=[{"secretRef": {"name": "a"}}, {"secretRef": {"name": "b"}}])
    secrets = {
        "a": {"username": b"app", "password": b"hid\nden"},
        "b": {"username": b"job", "password": b"hidden" + end},
    }
    assert users(two, secrets)[1].password == f"hidden{end.decode()}"
    (note,) = notes(two, secrets)
    assert note.startswith("spec.auth[1].secretRef: the key password of Secret b ends with a line")
    assert "hidden" not in note


def test_what_is_not_there_has_no_notes() -> None:
    assert notes(spec(), {}) == ()
    assert notes(spec(), {"orders-app": {"uri": b"postgres://a:b@c\n"}}) == ()


VERIFY = {"mode": "VerifyCA", "caSecretRef": {"name": "db-ca", "key": "bundle.pem"}}


def test_the_ca_of_the_server() -> None:
    pem = MINE.ca.certificate
    assert target_ca(spec(targetTLS=VERIFY), {"db-ca": {"bundle.pem": pem.encode()}}) == pem
    assert target_ca(spec(), {}) == ""
    with pytest.raises(Problem, match="holds no PEM certificate") as caught:
        target_ca(spec(targetTLS=VERIFY), {"db-ca": {"bundle.pem": b"hello"}})
    assert caught.value.reason == "InvalidCA"
    assert caught.value.path == "spec.targetTLS.caSecretRef"
    with pytest.raises(Problem, match="Secret db-ca has no key bundle") as caught:
        target_ca(spec(targetTLS=VERIFY), {"db-ca": {"ca.crt": b"hello"}})
    assert caught.value.reason == "SecretKeyNotFound"


def tls_data(chain: str, key: str) -> dict[str, bytes]:
    return {"tls.crt": chain.encode(), "tls.key": key.encode(), "ca.crt": b"the CA"}


def test_a_certificate_of_the_users() -> None:
    given = spec(tls={"secretRef": {"name": "mine"}})
    secrets = {"mine": tls_data(MINE.leaf.certificate, MINE.leaf.key)}
    assert given_certificate(given, secrets) == MINE.shown()
    assert given_ca(given, secrets) == "the CA"
    assert given_certificate(spec(), {}) is None
    assert given_ca(spec(), {}) == ""


@pytest.mark.parametrize(
    "pair",
    [
        (MINE.leaf.certificate, OTHER.leaf.key),
        ("nonsense", MINE.leaf.key),
        (MINE.leaf.certificate, "nonsense"),
    ],
    ids=["a foreign key", "no certificate", "no key"],
)
def test_a_certificate_that_is_none(pair: tuple[str, str]) -> None:
    given = spec(tls={"secretRef": {"name": "mine"}})
    with pytest.raises(Problem) as caught:
        given_certificate(given, {"mine": tls_data(*pair)})
    assert caught.value.reason == "InvalidCertificate"
    assert caught.value.path == "spec.tls.secretRef"


@pytest.mark.parametrize("key", ["tls.crt", "tls.key"])
def test_a_certificate_that_is_half_there(key: str) -> None:
    """As cert-manager leaves a Secret until it has issued."""
    given = spec(tls={"secretRef": {"name": "mine"}})
    data = {**tls_data(MINE.leaf.certificate, MINE.leaf.key), key: b""}
    with pytest.raises(Problem, match=f"an empty key {key}") as caught:
        given_certificate(given, {"mine": data})
    assert caught.value.reason == "SecretKeyNotFound"


def test_every_secret_that_a_spec_names() -> None:
    everything = spec(targetTLS=VERIFY, tls={"secretRef": {"name": "mine"}})
    assert secret_names(everything) == {"orders-app", "db-ca", "mine"}
