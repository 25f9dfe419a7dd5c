"""Roles, CAs and certificates, read from Secrets; each problem names the spec's field."""

from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from sluice_operator import names
from sluice_operator.api.conditions import Reason
from sluice_operator.api.v1alpha1 import CASecretRef, Spec
from sluice_proxy.config import Certificate, User

Secrets = Mapping[str, Mapping[str, bytes]]
"""Name of a Secret of the namespace -> its decoded data."""

DEFAULT_DATABASE = "postgres"


class Problem(ValueError):
    """What a Secret lacks: `path` is the spec's field; no value is ever quoted."""

    def __init__(self, path: str, reason: Reason, sentence: str):
        super().__init__(f"{path}: {sentence}")
        self.path = path
        self.reason = reason
        self.sentence = sentence


def users(spec: Spec, secrets: Secrets) -> tuple[User, ...]:
    """One role per `auth` entry. Raises Problem."""
    found: dict[str, str] = {}
    roles = []
    for index, entry in enumerate(spec.auth):
        name = entry.secret_ref.name
        path = f"spec.auth[{index}].secretRef"
        user = _user(_data(secrets, name, path), name, path)
        if user.name in found:
            sentence = f"Secrets {found[user.name]} and {name} are both of the role {user.name}"
            raise Problem(path, Reason.DUPLICATE_ROLE, sentence)
        found[user.name] = name
        roles.append(user)
    return tuple(roles)


def notes(spec: Spec, secrets: Secrets) -> tuple[str, ...]:
    """What the user should know of passwords that can be used, and may not be what was meant."""
    return tuple(
        f"spec.auth[{index}].secretRef: the key password of Secret {entry.secret_ref.name} ends "
        "with a line break, which counts as part of it: if logins fail, write it without one "
        "(printf in place of echo)"
        for index, entry in enumerate(spec.auth)
        if secrets.get(entry.secret_ref.name, {}).get("password", b"").endswith((b"\n", b"\r"))
    )


def target_ca(spec: Spec, secrets: Secrets) -> str:
    """PEM bundle that the server is verified with; empty where none is asked for."""
    reference = spec.target_tls.ca_secret_ref
    return "" if reference is None else _bundle(reference, secrets)


def given_certificate(spec: Spec, secrets: Secrets) -> Certificate | None:
    """The certificate of `tls.secretRef`, or None where the spec names none."""
    if spec.tls.secret_ref is None:
        return None
    name, path = spec.tls.secret_ref.name, "spec.tls.secretRef"
    data = _data(secrets, name, path)
    chain = _text(data, names.TLS_CRT, name, path)
    key = _text(data, names.TLS_KEY, name, path)
    _check_pair(chain, key, name, path)
    return Certificate(chain, key)


def given_ca(spec: Spec, secrets: Secrets) -> str:
    """`ca.crt` of `tls.secretRef`, where it has one."""
    reference = spec.tls.secret_ref
    if reference is None:
        return ""
    return secrets.get(reference.name, {}).get(names.CA_CRT, b"").decode(errors="replace")


def secret_names(spec: Spec) -> frozenset[str]:
    """Every Secret that the spec refers to."""
    found = {entry.secret_ref.name for entry in spec.auth}
    if spec.target_tls.ca_secret_ref is not None:
        found.add(spec.target_tls.ca_secret_ref.name)
    if spec.tls.secret_ref is not None:
        found.add(spec.tls.secret_ref.name)
    return frozenset(found)


def _user(data: Mapping[str, bytes], secret: str, path: str) -> User:
    if "password" not in data and "uri" in data:
        return _user_of_uri(_text(data, "uri", secret, path), secret, path)
    name_key = "user" if "username" not in data and "user" in data else "username"
    name = _text(data, name_key, secret, path)
    password = _text(data, "password", secret, path)
    if name != name.strip():
        sentence = f"key {name_key} of Secret {secret} has white space around the name"
        raise Problem(path, Reason.INVALID_SECRET, sentence)
    database = _first_text(data, ("dbname", "database"), secret, path)
    return User(name, password, database=database or DEFAULT_DATABASE)


def _user_of_uri(uri: str, secret: str, path: str) -> User:
    try:
        parts = urlsplit(uri.strip())
        name, password = parts.username, parts.password
    except ValueError:
        _refuse_uri(secret, path)
    if parts.scheme not in ("postgres", "postgresql") or not name or not password:
        _refuse_uri(secret, path)
    database = parts.path.lstrip("/")
    for part in (name, password, database):
        _check_zero_bytes(unquote(part), "uri", secret, path)
    return User(unquote(name), unquote(password), database=unquote(database) or DEFAULT_DATABASE)


def _refuse_uri(secret: str, path: str) -> NoReturn:
    sentence = f"key uri of Secret {secret} is not postgresql://user:password@host/database"
    raise Problem(path, Reason.INVALID_SECRET, sentence)


def _bundle(reference: CASecretRef, secrets: Secrets) -> str:
    path = "spec.targetTLS.caSecretRef"
    data = _data(secrets, reference.name, path)
    text = _text(data, reference.key, reference.name, path)
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        sentence = f"key {reference.key} of Secret {reference.name} holds no PEM certificate"
        raise Problem(path, Reason.INVALID_CA, sentence) from None
    return text


def _check_pair(chain: str, key: str, secret: str, path: str) -> None:
    try:
        leaf = x509.load_pem_x509_certificates(chain.encode())[0]
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError):
        sentence = f"tls.crt and tls.key of Secret {secret} are not a PEM certificate and its key"
        raise Problem(path, Reason.INVALID_CERTIFICATE, sentence) from None
    if private.public_key() != leaf.public_key():
        sentence = f"tls.key of Secret {secret} is not the key of tls.crt"
        raise Problem(path, Reason.INVALID_CERTIFICATE, sentence)


def _data(secrets: Secrets, name: str, path: str) -> Mapping[str, bytes]:
    if name not in secrets:
        raise Problem(f"{path}.name", Reason.SECRET_NOT_FOUND, f"Secret {name} does not exist")
    return secrets[name]


def _first_text(data: Mapping[str, bytes], keys: tuple[str, ...], secret: str, path: str) -> str:
    key = next((key for key in keys if data.get(key)), None)
    return "" if key is None else _text(data, key, secret, path)


def _text(data: Mapping[str, bytes], key: str, secret: str, path: str) -> str:
    value = data.get(key)
    if not value:
        problem = "has no key" if value is None else "has an empty key"
        raise Problem(path, Reason.SECRET_KEY_NOT_FOUND, f"Secret {secret} {problem} {key}")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        sentence = f"key {key} of Secret {secret} is not UTF-8 text"
        raise Problem(path, Reason.INVALID_SECRET, sentence) from None
    _check_zero_bytes(text, key, secret, path)
    return text


def _check_zero_bytes(text: str, key: str, secret: str, path: str) -> None:
    # The protocol's strings end with one.
    if "\0" in text:
        sentence = f"key {key} of Secret {secret} holds a zero byte"
        raise Problem(path, Reason.INVALID_SECRET, sentence)
