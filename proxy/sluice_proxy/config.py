"""The document between operator and proxy: all that a proxy is told, in one JSON text.

The operator writes it into one Secret, `sluice run` makes it in memory; the proxy checks
the whole of it and swaps at once, or keeps the old one. The only module of the proxy that
the operator may import. Pure: no clock, no file, no library beyond the standard one's.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar, get_args

from sluice_proxy.errors import ConfigError

SCHEMA_VERSION = 1
CONFIG_KEY = "config.json"

CLIENT_PORT = 5432
ADMIN_PORT = 9127

T = TypeVar("T")

TLSMode = Literal["Disable", "Prefer", "Require", "VerifyCA", "VerifyFull"]


@dataclass(frozen=True, slots=True)
class Target:
    """A PostgreSQL server: DNS name or address, and port."""

    host: str
    port: int = 5432


@dataclass(frozen=True, slots=True)
class TargetTLS:
    """How the server is reached; `ca` is a PEM bundle, needed by VerifyCA and VerifyFull."""

    mode: TLSMode = "Prefer"
    ca: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """A role that clients may log in as, and that the proxy logs in as on the server.

    `previous_password` is what the Secret held before its last change; clients may use it
    until `previous_until` (seconds since the epoch). `database` is where the proxy looks
    whether the login works.
    """

    name: str
    password: str
    previous_password: str = ""
    previous_until: float = 0.0
    database: str = "postgres"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the proxy shows to clients: PEM chain (leaf first) and its private key."""

    chain: str
    private_key: str


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The budget (percent of the server's max_connections) and the wait for it (seconds)."""

    max_connections_percent: int = 100
    connection_borrow_timeout_seconds: int = 120


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """Everything one proxy is told. `fleet_size` pods share the budget between them.

    Timeouts are seconds. `drain_seconds` is how long clients may finish after SIGTERM.
    """

    name: str
    targets: tuple[Target, ...]
    users: tuple[User, ...]
    target_tls: TargetTLS = TargetTLS()
    certificate: Certificate | None = None
    require_tls: bool = True
    idle_client_timeout_seconds: int = 1800
    pool: PoolSettings = PoolSettings()
    fleet_size: int = 1
    drain_seconds: int = 30
    debug_logging: bool = False

    def user(self, name: str) -> User | None:
        return next((user for user in self.users if user.name == name), None)


def dump(config: ProxyConfig) -> str:
    """The document as JSON text; equal configs give equal texts."""
    document = {"schema_version": SCHEMA_VERSION, **asdict(config)}
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> str:
    """The name of a document's content, as `/state` shows it: 16 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def parse(text: str) -> ProxyConfig:
    """The config that `dump` wrote. Raises ConfigError with the path of the bad field."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ConfigError("", f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError("", "not a JSON object")
    version = document.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise ConfigError("schema_version", f"{version!r} is not {SCHEMA_VERSION}")
    return validated(_proxy_config(document))


def carry_previous(
    old: ProxyConfig | None, new: ProxyConfig, until: Mapping[str, float]
) -> ProxyConfig:
    """`new` with the passwords that `old` held, where they changed.

    `until[user]` is the time (seconds since the epoch) up to which the password that a
    change replaces now stays good. A user whose password did not change keeps what it had.
    """
    if old is None:
        return new
    users = tuple(
        _carry(old.user(user.name), user, until.get(user.name, 0.0)) for user in new.users
    )
    return replace(new, users=users)


def _carry(old: User | None, new: User, until: float) -> User:
    if old is None:
        return new
    if old.password == new.password:
        return replace(
            new, previous_password=old.previous_password, previous_until=old.previous_until
        )
    return replace(new, previous_password=old.password, previous_until=until)


def validated(config: ProxyConfig) -> ProxyConfig:
    """`config` itself, or ConfigError: what every writer and reader must hold to."""
    if not config.targets:
        raise ConfigError("targets", "empty")
    if not config.users:
        raise ConfigError("users", "empty")
    names = [user.name for user in config.users]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError("users", f"{name!r} stands twice")
    if config.target_tls.mode in ("VerifyCA", "VerifyFull") and not config.target_tls.ca:
        raise ConfigError("target_tls.ca", f"needed by mode {config.target_tls.mode}")
    if config.require_tls and config.certificate is None:
        raise ConfigError("certificate", "needed by require_tls")
    _bounded("fleet_size", config.fleet_size, 1, 1000)
    _bounded("pool.max_connections_percent", config.pool.max_connections_percent, 1, 100)
    _bounded(
        "pool.connection_borrow_timeout_seconds",
        config.pool.connection_borrow_timeout_seconds,
        0,
        300,
    )
    return config


def _bounded(path: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(path, f"{value} is not between {low} and {high}")


def _proxy_config(document: dict[str, Any]) -> ProxyConfig:
    fields = dict(document)
    fields["targets"] = tuple(
        _build(Target, item, f"targets[{i}]") for i, item in enumerate(_list(fields, "targets"))
    )
    fields["users"] = tuple(
        _build(User, item, f"users[{i}]") for i, item in enumerate(_list(fields, "users"))
    )
    fields["target_tls"] = _build(TargetTLS, fields.get("target_tls", {}), "target_tls")
    fields["pool"] = _build(PoolSettings, fields.get("pool", {}), "pool")
    if fields.get("certificate") is not None:
        fields["certificate"] = _build(Certificate, fields["certificate"], "certificate")
    return _build(ProxyConfig, fields, "")


def _list(fields: dict[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if not isinstance(value, list):
        raise ConfigError(name, "not a list")
    return value


_PLAIN: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "host": str,
    "port": int,
    "ca": str,
    "password": str,
    "chain": str,
    "private_key": str,
    "previous_password": str,
    "previous_until": (int, float),
    "database": str,
    "require_tls": bool,
    "idle_client_timeout_seconds": int,
    "max_connections_percent": int,
    "connection_borrow_timeout_seconds": int,
    "fleet_size": int,
    "drain_seconds": int,
    "debug_logging": bool,
}


def _build(kind: type[T], fields: Any, path: str) -> T:
    prefix = f"{path}." if path else ""
    if not isinstance(fields, dict):
        raise ConfigError(path, "not an object")
    for name, value in fields.items():
        _check_plain(f"{prefix}{name}", name, value)
    try:
        return kind(**fields)
    except TypeError as error:
        raise ConfigError(path, str(error).partition(" ")[2] or str(error)) from None


def _check_plain(path: str, name: str, value: Any) -> None:
    if name == "mode" and value not in get_args(TLSMode):
        raise ConfigError(path, f"{value!r} is not one of {', '.join(get_args(TLSMode))}")
    expected = _PLAIN.get(name)
    if expected is None:
        return
    wrong_bool = isinstance(value, bool) and expected is not bool
    if wrong_bool or not isinstance(value, expected):
        raise ConfigError(path, f"{value!r} has the wrong type")
