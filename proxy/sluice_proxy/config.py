"""The document between operator and proxy: all that a proxy is told, in one JSON text.

The operator writes it into one Secret, `sluice run` makes it in memory; the proxy checks
the whole of it and swaps at once, or keeps the old one. The only module of the proxy that
the operator may import. Pure: no clock, no file, no library beyond the standard one's.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, replace
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from sluice_proxy.errors import ConfigError

SCHEMA_VERSION = 1
CONFIG_KEY = "config.json"

POD_IP = "SLUICE_POD_IP"
"""Variable of the environment with the pod's own address, by which it knows itself among peers."""

POD_NAME = "SLUICE_POD_NAME"
"""Variable of the environment with the pod's `metadata.name`, by which it finds its share."""

CLIENT_PORT = 5432
ADMIN_PORT = 9127

ACTIVATOR_PORT = 5433
"""Where a pod takes clients from activators: behind a PROXY header, never from anybody else."""

HELLO_PORT = 9128
"""UDP port of the activators: a pod that begins to listen says so there."""

TLSMode = Literal["Disable", "Prefer", "Require", "VerifyCA", "VerifyFull"]
TLSNegotiation = Literal["Request", "Direct"]
PinningFilter = Literal[
    "EXCLUDE_VARIABLE_SETS",
    "EXCLUDE_TEMPORARY_OBJECTS",
    "EXCLUDE_HOLDABLE_CURSORS",
    "EXCLUDE_ADVISORY_LOCKS",
    "EXCLUDE_LISTEN",
    "EXCLUDE_CODE_BLOCKS",
    "EXCLUDE_LOADED_LIBRARIES",
    "EXCLUDE_SEQUENCES",
    "EXCLUDE_PREPARED_STATEMENTS",
]

INIT_QUERY_MAX = 4096
"""Characters of the longest `init_query`."""

CONNECTIONS_MAX = 262143
"""The most that PostgreSQL takes for `max_connections`."""


@dataclass(frozen=True, slots=True)
class Target:
    """A PostgreSQL server: DNS name or address, and port."""

    host: str
    port: int = 5432


@dataclass(frozen=True, slots=True)
class TargetTLS:
    """How the server is reached; `ca` is a PEM bundle, needed by VerifyCA and VerifyFull.

    `negotiation` is libpq's sslnegotiation: whether TLS is asked for, or begins at once.
    """

    mode: TLSMode = "Prefer"
    ca: str = ""
    negotiation: TLSNegotiation = "Request"


@dataclass(frozen=True, slots=True)
class User:
    """A role that clients may log in as, and that the proxy logs in as on the server.

    `previous_password` is what the Secret held before its last change; clients may use it
    until `previous_until` (seconds since the epoch). `database` is where the proxy looks
    whether the login works.
    """

    name: str
    password: str = field(repr=False)
    previous_password: str = field(default="", repr=False)
    previous_until: float = 0.0
    database: str = "postgres"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the proxy shows to clients: PEM chain (leaf first) and its private key."""

    chain: str
    private_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The budget (percent of the server's max_connections) and the wait for it (seconds).

    `max_idle_connections_percent` is how much of the budget may rest unused for long.
    `init_query` is run on each new server connection; `session_pinning_filters` are what the
    user vouches need not pin. `server_lifetime_seconds` is how old a server connection gets.
    """

    max_connections_percent: int = 100
    connection_borrow_timeout_seconds: int = 120
    max_idle_connections_percent: int = 50
    init_query: str = ""
    session_pinning_filters: tuple[PinningFilter, ...] = ()
    server_lifetime_seconds: int = 3600


@dataclass(frozen=True, slots=True)
class PodShare:
    """How many server connections the pod with this `metadata.name` may open."""

    pod: str
    share: int


def kept(limit: int) -> int:
    """What a pod that may open `limit` keeps by a document that does not name it: a connection.

    Who wrote it did not know of the pod yet, which may have let clients in; the next one names it.
    """
    return min(1, limit)


@dataclass(frozen=True, slots=True)
class Fleet:
    """How the pods of a proxy share its budget B, `floor(percent * max_connections)`.

    `total` is the B that `shares` and `others` were cut from; 0 while it is not known, and
    then each pod takes one of `parts` equal parts. `others` is for a pod without a share.
    """

    total: int = 0
    shares: tuple[PodShare, ...] = ()
    others: int = 0
    parts: int = 1

    def share(self, pod: str, kept: int = 0) -> int:
        """What `pod` may open of `total`; `kept` at least, if it has no share of its own."""
        unnamed = max(self.others, kept)
        return next((entry.share for entry in self.shares if entry.pod == pod), unnamed)


UNSHARED = Fleet()
"""One pod, which has the whole budget."""


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """Everything one proxy is told. Its pods share the budget as `fleet` says.

    Timeouts are seconds. `drain_seconds` is how long clients may stay after SIGTERM.
    `linger_seconds` is for how long after the last client came a pod that drains goes on
    accepting: others may not know yet that it leaves.
    `peers` is the DNS name that gives the addresses of all pods of this proxy, empty where
    there is but one. `activators` is the one that gives those of the activators, and `uid` that
    of the DatabaseProxy, by which both ends know each other; empty where there are none.
    """

    name: str
    targets: tuple[Target, ...]
    users: tuple[User, ...]
    target_tls: TargetTLS = TargetTLS()
    certificate: Certificate | None = None
    require_tls: bool = True
    idle_client_timeout_seconds: int = 1800
    pool: PoolSettings = PoolSettings()
    fleet: Fleet = UNSHARED
    drain_seconds: int = 30
    linger_seconds: int = 0
    peers: str = ""
    activators: str = ""
    uid: str = field(default="", repr=False)
    debug_logging: bool = False

    def user(self, name: str) -> User | None:
        return next((user for user in self.users if user.name == name), None)


def dump(config: ProxyConfig) -> str:
    """The document as JSON text; equal configs give equal texts."""
    document = {"schema_version": SCHEMA_VERSION, **asdict(config)}
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> str:
    """The name of a document's content, as `/state` shows it: 16 hex digits."""
    import hashlib  # OpenSSL, which takes a tenth of the time from the start to the listening

    return hashlib.sha256(text.encode()).hexdigest()[:16]


def parse(text: str) -> ProxyConfig:
    """The config that `dump` wrote. Raises ConfigError with the path of the bad field.

    What it says of a value never quotes it: the value may be a password in a wrong place.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError("", f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError("", "not an object")
    version = document.pop("schema_version", None)
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise ConfigError("schema_version", f"not {SCHEMA_VERSION}")
    config: ProxyConfig = _object(ProxyConfig, document, "")
    return validated(config)


def carry_previous(
    old: ProxyConfig | None, new: ProxyConfig, until: Mapping[str, float]
) -> ProxyConfig:
    """`new` with the passwords that `old` held, where they changed.

    `until[user]` is the time (seconds since the epoch) up to which the password that a
    change replaces now stays good. A user whose password did not change keeps what it had, no
    longer than that: who shortens the grace means the one that is under way too.
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
        until = min(old.previous_until, until)
        return replace(new, previous_password=old.previous_password, previous_until=until)
    return replace(new, previous_password=old.password, previous_until=until)


def validated(config: ProxyConfig) -> ProxyConfig:
    """`config` itself, or ConfigError: what every writer and reader must hold to."""
    if not config.targets:
        raise ConfigError("targets", "empty")
    for index, target in enumerate(config.targets):
        _text(f"targets[{index}].host", target.host)
        _bounded(f"targets[{index}].port", target.port, 1, 65535)
    _check_users(config.users)
    _check_tls(config)
    _bounded("idle_client_timeout_seconds", config.idle_client_timeout_seconds, 1, 28800)
    _check_fleet(config.fleet)
    _bounded("drain_seconds", config.drain_seconds, 0, 3600)
    _bounded("linger_seconds", config.linger_seconds, 0, 3600)
    for name in ("peers", "activators", "uid"):
        _text(name, getattr(config, name) or "-")
    _check_pool(config.pool)
    return config


def _check_pool(pool: PoolSettings) -> None:
    _bounded("pool.max_connections_percent", pool.max_connections_percent, 1, 100)
    _bounded("pool.max_idle_connections_percent", pool.max_idle_connections_percent, 0, 100)
    wait = pool.connection_borrow_timeout_seconds
    _bounded("pool.connection_borrow_timeout_seconds", wait, 0, 300)
    _bounded("pool.server_lifetime_seconds", pool.server_lifetime_seconds, 1, 86400)
    _text("pool.init_query", pool.init_query or "-")
    if len(pool.init_query) > INIT_QUERY_MAX:
        raise ConfigError("pool.init_query", f"longer than {INIT_QUERY_MAX} characters")
    if len(set(pool.session_pinning_filters)) != len(pool.session_pinning_filters):
        raise ConfigError("pool.session_pinning_filters", "one stands twice")


def _check_fleet(fleet: Fleet) -> None:
    _bounded("fleet.total", fleet.total, 0, CONNECTIONS_MAX)
    _bounded("fleet.others", fleet.others, 0, CONNECTIONS_MAX)
    _bounded("fleet.parts", fleet.parts, 1, 1000)
    pods: set[str] = set()
    for index, entry in enumerate(fleet.shares):
        path = f"fleet.shares[{index}]"
        _text(f"{path}.pod", entry.pod)
        _bounded(f"{path}.share", entry.share, 0, CONNECTIONS_MAX)
        if entry.pod in pods:
            raise ConfigError(f"{path}.pod", f"{entry.pod!r} stands twice")
        pods.add(entry.pod)


def _check_users(users: tuple[User, ...]) -> None:
    if not users:
        raise ConfigError("users", "empty")
    names: set[str] = set()
    for index, user in enumerate(users):
        path = f"users[{index}]"
        _text(f"{path}.name", user.name)
        # An empty password would let anybody in; PostgreSQL takes none either.
        _text(f"{path}.password", user.password)
        _text(f"{path}.previous_password", user.previous_password or "-")
        _text(f"{path}.database", user.database)
        if user.name in names:
            raise ConfigError(f"{path}.name", f"{user.name!r} stands twice")
        names.add(user.name)


def _check_tls(config: ProxyConfig) -> None:
    mode = config.target_tls.mode
    if mode in ("VerifyCA", "VerifyFull") and not config.target_tls.ca:
        raise ConfigError("target_tls.ca", f"needed by mode {mode}")
    if mode in ("Disable", "Prefer") and config.target_tls.negotiation == "Direct":
        # Direct TLS has no way back to a connection in clear.
        raise ConfigError("target_tls.negotiation", f"Direct does not go with mode {mode}")
    if config.certificate is not None:
        _text("certificate.chain", config.certificate.chain)
        _text("certificate.private_key", config.certificate.private_key)
    elif config.require_tls:
        raise ConfigError("certificate", "needed by require_tls")


def _text(path: str, value: str) -> None:
    if not value:
        raise ConfigError(path, "empty")
    # The protocol's strings end with a zero byte.
    if "\0" in value:
        raise ConfigError(path, "holds a zero byte")
    try:
        # What was no UTF-8 may come so, and goes out as it was.
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ConfigError(path, "holds lone surrogates") from None


def _bounded(path: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(path, f"{value} is not between {low} and {high}")


def _build(kind: Any, value: Any, path: str) -> Any:
    """What JSON gave as the type that a field is annotated with."""
    if is_dataclass(kind):
        return _object(kind, value, path)
    if get_origin(kind) is tuple:
        items = _plain(list, value, path)
        return tuple(_build(get_args(kind)[0], v, f"{path}[{i}]") for i, v in enumerate(items))
    if get_origin(kind) is Literal:
        return _one_of(get_args(kind), value, path)
    if isinstance(kind, UnionType):
        return None if value is None else _build(get_args(kind)[0], value, path)
    return _number(value, path) if kind is float else _plain(kind, value, path)


def _object(kind: Any, value: Any, path: str) -> Any:
    given = _plain(dict, value, path)
    prefix = f"{path}." if path else ""
    known = {field.name: field for field in fields(kind)}
    for name in given:
        if name not in known:
            raise ConfigError(f"{prefix}{name}", "unknown")
    for name, declared in known.items():
        if name not in given and _is_needed(declared):
            raise ConfigError(f"{prefix}{name}", "missing")
    return kind(**{n: _build(known[n].type, v, f"{prefix}{n}") for n, v in given.items()})


def _is_needed(declared: Field[Any]) -> bool:
    return declared.default is MISSING and declared.default_factory is MISSING


_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",
    int: "a whole number",
}


def _plain(kind: type, value: Any, path: str) -> Any:
    # Python's bool is an int; JSON's is not a number.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(path, f"not {_KINDS[kind]}")
    return value


def _number(value: Any, path: str) -> float:
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(path, "not a number")
    return number


def _one_of(choices: tuple[str, ...], value: Any, path: str) -> str:
    if value not in choices:
        raise ConfigError(path, f"not one of {', '.join(choices)}")
    return str(value)
