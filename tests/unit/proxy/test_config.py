"""The document between operator and proxy: round trip, bad fields, carried passwords."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.config import (
    Certificate,
    Fleet,
    PodShare,
    PoolSettings,
    ProxyConfig,
    Target,
    TargetTLS,
    User,
    carry_previous,
    digest,
    dump,
    parse,
    validated,
)
from sluice_proxy.errors import ConfigError

FULL = ProxyConfig(
    name="shop/orders",
    targets=(Target("db.example", 5433), Target("db2.example")),
    users=(User("app", "s3cret", "0ld", 1767323045.5, "orders"), User("web", "pässwörd")),
    target_tls=TargetTLS("VerifyFull", "CA PEM"),
    certificate=Certificate("CHAIN PEM", "KEY PEM"),
    require_tls=True,
    idle_client_timeout_seconds=60,
    pool=PoolSettings(90, 5, 40, "SET work_mem = '8MB'", ("EXCLUDE_LISTEN",), 1800),
    fleet=Fleet(90, (PodShare("orders-a", 60), PodShare("orders-b", 0)), 15, 3),
    drain_seconds=10,
    peers="orders-peers.shop.svc",
    debug_logging=True,
)
SMALL = ProxyConfig("shop/orders", (Target("db"),), (User("app", "x"),), require_tls=False)

IDLE_PERCENT = "pool.max_idle_connections_percent"
FILTERS = "pool.session_pinning_filters"

Path = tuple[str | int, ...]


def document(config: ProxyConfig = FULL) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(dump(config))
    return loaded


def put(path: Path, value: Any) -> str:
    """FULL's text with another value at `path`."""
    changed: Any = document()
    node = changed
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return json.dumps(changed)


def error_of(text: str) -> ConfigError | None:
    try:
        parse(text)
    except ConfigError as error:
        return error
    return None


def dotted(path: Path) -> str:
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path).removeprefix(".")


def paths(node: Any, here: Path = ()) -> list[Path]:
    """Every place in a JSON value but its root."""
    pairs: list[tuple[str | int, Any]] = []
    if isinstance(node, dict):
        pairs = list(node.items())
    elif isinstance(node, list):
        pairs = list(enumerate(node))
    below = [path for key, value in pairs for path in paths(value, (*here, key))]
    return ([here] if here else []) + below


PATHS = paths(document())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("config", [FULL, SMALL])
def test_round_trip(config: ProxyConfig) -> None:
    assert parse(dump(config)) == config
    assert dump(parse(dump(config))) == dump(config)


def test_a_password_that_is_no_utf8_survives() -> None:
    password = b"\xff\xfe".decode("utf-8", "surrogateescape")
    config = replace(SMALL, users=(User("app", password),))
    assert parse(dump(config)) == config
    assert len(digest(dump(config))) == 16


def test_defaults_may_be_left_out() -> None:
    text = {
        "schema_version": 1,
        "name": "shop/orders",
        "targets": [{"host": "db"}],
        "users": [{"name": "app", "password": "x"}],
        "require_tls": False,
    }
    assert parse(json.dumps(text)) == SMALL


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        ("", "", "not JSON"),
        ("{", "", "not JSON"),
        ("[" * 100_000, "", "not JSON"),
        ("1" * 10_000, "", "not JSON"),
        ("[]", "", "not an object"),
        ("{}", "schema_version", "not 1"),
        (put(("schema_version",), 2), "schema_version", "not 1"),
        (put(("schema_version",), True), "schema_version", "not 1"),
        ('{"schema_version": 1}', "name", "missing"),
        (put(("name",), 5), "name", "not a string"),
        (put(("surprise",), 5), "surprise", "unknown"),
        (put(("targets",), None), "targets", "not a list"),
        (put(("targets",), {}), "targets", "not a list"),
        (put(("targets",), []), "targets", "empty"),
        (put(("targets", 1), "db"), "targets[1]", "not an object"),
        (put(("targets", 1), {}), "targets[1].host", "missing"),
        (put(("targets", 0, "host"), ""), "targets[0].host", "empty"),
        (put(("targets", 0, "host"), 1), "targets[0].host", "not a string"),
        (put(("targets", 1, "port"), "5432"), "targets[1].port", "not a whole number"),
        (put(("targets", 1, "port"), 0), "targets[1].port", "0 is not between 1 and 65535"),
        (put(("targets", 1, "port"), 65536), "targets[1].port", "between"),
        (put(("targets", 1, "prot"), 1), "targets[1].prot", "unknown"),
        (put(("users",), []), "users", "empty"),
        (put(("users", 1), {"name": "web"}), "users[1].password", "missing"),
        (put(("users", 1, "name"), "app"), "users[1].name", "'app' stands twice"),
        (put(("users", 1, "name"), "a\0b"), "users[1].name", "zero byte"),
        (put(("users", 0, "password"), ""), "users[0].password", "empty"),
        (put(("users", 0, "password"), "\ud800"), "users[0].password", "surrogates"),
        (put(("users", 0, "previous_password"), "\0"), "users[0].previous_password", "zero"),
        (put(("users", 0, "previous_until"), "5"), "users[0].previous_until", "not a number"),
        (put(("users", 0, "previous_until"), True), "users[0].previous_until", "not a number"),
        (put(("users", 0, "previous_until"), 10**400), "users[0].previous_until", "not a"),
        (put(("users", 0, "previous_until"), float("nan")), "users[0].previous_until", "not a"),
        (put(("users", 0, "database"), ""), "users[0].database", "empty"),
        (put(("target_tls",), None), "target_tls", "not an object"),
        (put(("target_tls", "mode"), "require"), "target_tls.mode", "not one of Disable, Prefer"),
        (put(("target_tls", "mode"), ["Require"]), "target_tls.mode", "not one of"),
        (put(("target_tls", "ca"), ""), "target_tls.ca", "needed by mode VerifyFull"),
        (put(("certificate",), None), "certificate", "needed by require_tls"),
        (put(("certificate",), "PEM"), "certificate", "not an object"),
        (put(("certificate", "chain"), ""), "certificate.chain", "empty"),
        (put(("certificate", "private_key"), ""), "certificate.private_key", "empty"),
        (put(("require_tls",), 1), "require_tls", "not true or false"),
        (put(("idle_client_timeout_seconds",), 0), "idle_client_timeout_seconds", "between"),
        (put(("idle_client_timeout_seconds",), True), "idle_client_timeout_seconds", "whole"),
        (put(("pool",), []), "pool", "not an object"),
        (put(("pool", "max_connections_percent"), 0), "pool.max_connections_percent", "between"),
        (put(("pool", "max_connections_percent"), 9.5), "pool.max_connections_percent", "whole"),
        (
            put(("pool", "connection_borrow_timeout_seconds"), 301),
            "pool.connection_borrow_timeout_seconds",
            "301 is not between 0 and 300",
        ),
        (put(("pool", "max_idle_connections_percent"), 101), IDLE_PERCENT, "not between 0 and 100"),
        (put(("pool", "init_query"), "SELECT '\0'"), "pool.init_query", "zero byte"),
        (put(("pool", "init_query"), "é" * 4097), "pool.init_query", "longer than 4096"),
        (put(("pool", "session_pinning_filters"), ["EXCLUDE_ALL"]), f"{FILTERS}[0]", "not one of"),
        (put(("pool", "session_pinning_filters"), 2 * ["EXCLUDE_LISTEN"]), FILTERS, "twice"),
        (put(("pool", "server_lifetime_seconds"), 0), "pool.server_lifetime_seconds", "between"),
        (put(("peers",), "a\0b"), "peers", "zero byte"),
        (put(("fleet", "total"), -1), "fleet.total", "-1 is not between 0 and 262143"),
        (put(("fleet", "others"), 262144), "fleet.others", "between"),
        (put(("fleet", "parts"), 0), "fleet.parts", "0 is not between 1 and 1000"),
        (put(("fleet", "shares", 0, "pod"), ""), "fleet.shares[0].pod", "empty"),
        (put(("fleet", "shares", 1, "pod"), "orders-a"), "fleet.shares[1].pod", "stands twice"),
        (put(("fleet", "shares", 1, "share"), -1), "fleet.shares[1].share", "between"),
        (put(("drain_seconds",), -1), "drain_seconds", "between"),
        (put(("debug_logging",), None), "debug_logging", "not true or false"),
    ],
)
def test_a_bad_field_is_named(text: str, path: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        parse(text)
    assert caught.value.path == path


@pytest.mark.parametrize("path", [path for path in PATHS if path != ("schema_version",)])
def test_every_field_is_checked(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(put(path, {"x": 1}))
    assert caught.value.path.startswith(dotted(path))


@given(JSON)
def test_anything_else_is_a_config_error(value: Any) -> None:
    with pytest.raises(ConfigError):
        parse(json.dumps(value))


@given(st.dictionaries(st.sampled_from(sorted(document())), JSON))
def test_wrong_fields_are_config_errors(values: dict[str, Any]) -> None:
    error = error_of(json.dumps({**document(), **values}))
    # Some sets are good by chance; and what is left out may be needed by what is not.
    first = "" if error is None else error.path.split(".")[0].split("[")[0]
    assert first in {"", "certificate", *values}


@given(st.sampled_from(PATHS), JSON)
def test_the_path_leads_to_what_was_changed(path: Path, value: Any) -> None:
    error = error_of(put(path, value))
    # Two users or two pods may come to share a name.
    second = ("users[1].name", "fleet.shares[1].pod")
    assert error is None or error.path.startswith((dotted(path), *second))


@given(st.text())
def test_any_text_is_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


def test_errors_and_reprs_never_quote_a_secret() -> None:
    shown = repr(FULL)
    for place in (("users", 0), ("users", 0, "name"), ("certificate",), ("targets",)):
        with pytest.raises(ConfigError) as caught:
            parse(put(place, ["s3cret"]))
        shown += str(caught.value)
    assert not [word for word in ("s3cret", "0ld", "pässwörd", "KEY PEM") if word in shown]


def test_validated_gives_back_the_config() -> None:
    assert validated(FULL) is FULL


def one(password: str, previous: str = "", until: float = 0.0) -> ProxyConfig:
    return replace(SMALL, users=(User("app", password, previous, until),))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, one("a"), one("a")),
        (one("a"), one("a"), one("a")),
        (one("a"), one("b"), one("b", "a", 60.0)),
        (one("b", "a", 30.0), one("b"), one("b", "a", 30.0)),
        (one("b", "a", 90.0), one("b"), one("b", "a", 60.0)),
        (one("b", "a", 30.0), one("c"), one("c", "b", 60.0)),
        (one("b", "a", 30.0), one("a"), one("a", "b", 60.0)),
        (replace(SMALL, users=(User("other", "a"),)), one("b"), one("b")),
    ],
)
def test_carry_previous(old: ProxyConfig | None, new: ProxyConfig, expected: ProxyConfig) -> None:
    assert carry_previous(old, new, {"app": 60.0}) == expected


def test_carry_previous_per_user() -> None:
    old = replace(SMALL, users=(User("a", "1"), User("b", "1"), User("c", "1"), User("d", "1")))
    new = replace(
        SMALL, users=(User("c", "2"), User("b", "2"), User("a", "1")), fleet=Fleet(parts=3)
    )
    carried = carry_previous(old, new, {"b": 5.0})
    assert carried.users == (User("c", "2", "1", 0.0), User("b", "2", "1", 5.0), User("a", "1"))
    assert carried.fleet == Fleet(parts=3)


@pytest.mark.parametrize("change", [lambda c: c, lambda c: replace(c, fleet=Fleet(parts=3))])
def test_digest_follows_the_content(change: Callable[[ProxyConfig], ProxyConfig]) -> None:
    same = change(FULL) == FULL
    assert (digest(dump(change(FULL))) == digest(dump(FULL))) is same
