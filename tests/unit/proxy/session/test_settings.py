"""Parameters as values: what differs, and the Query messages that make it so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.session.settings import (
    DEFAULTS,
    Change,
    changes,
    from_rows,
    replay,
    restore,
    settings,
    with_start,
)
from sluice_proxy.wire import messages

VALUES = st.dictionaries(
    st.sampled_from((b"work_mem", b"TimeZone", b"my.own", b"role", b"client_encoding")),
    st.sampled_from((b"1", b"2", b"\xe4")),
)


@given(VALUES, VALUES)
def test_equal_settings_are_the_same_object(
    one: dict[bytes, bytes], two: dict[bytes, bytes]
) -> None:
    assert (settings(one) is settings(two)) == (one == two)
    assert repr(settings(one)) == f"Settings({one!r})" or len(one) > 1


CHANGES: list[tuple[dict[bytes, bytes], dict[bytes, bytes], list[Change]]] = [
    ({}, {}, []),
    ({}, {b"a": b"1"}, [(b"a", b"1")]),
    ({b"a": b"1"}, {b"a": b"1"}, []),
    ({b"a": b"1"}, {b"a": b"2"}, [(b"a", b"2")]),
    ({b"a": b"1"}, {}, [(b"a", None)]),
    ({b"a": b"1"}, {b"b": b"2"}, [(b"a", None), (b"b", b"2")]),
    # An application's own parameter is never unset again: empty is all there is.
    ({b"my.own": b"1"}, {}, [(b"my.own", None)]),
    ({b"my.own": b""}, {}, []),
    ({b"a": b""}, {}, [(b"a", None)]),
    # The role goes first to none and last to where it has to be.
    ({}, {b"role": b"r"}, [(b"role", b"none"), (b"role", b"r")]),
    ({b"role": b"r"}, {}, [(b"role", b"none"), (b"role", None)]),
    ({b"role": b"r"}, {b"role": b"s", b"a": b"1"},
     [(b"role", b"none"), (b"a", b"1"), (b"role", b"s")]),
    ({b"role": b"r"}, {b"role": b"r", b"a": b"1"},
     [(b"role", b"none"), (b"a", b"1"), (b"role", b"r")]),
    ({b"role": b"r"}, {b"role": b"r"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("now", "wanted", "expected"), CHANGES)
def test_what_is_to_be_set(
    now: dict[bytes, bytes], wanted: dict[bytes, bytes], expected: list[Change]
) -> None:
    """Pitfall 32."""
    assert changes(settings(now), settings(wanted)) == expected


@given(VALUES, VALUES)
def test_changes_lead_where_they_should(
    now: dict[bytes, bytes], wanted: dict[bytes, bytes]
) -> None:
    session = dict(now)
    for name, value in changes(settings(now), settings(wanted)):
        if value is None:
            session.pop(name, None)
        else:
            session[name] = value
    assert session == wanted


REPLAYS: list[tuple[list[Change], list[bytes]]] = [
    ([], []),
    # These cannot fail: no transaction around them.
    ([(b"application_name", b"me")],
     [b"SELECT pg_catalog.set_config(E'application_name', E'me', false)"]),
    ([(b"search_path", b'"$user", it\'s')],
     [b"SELECT pg_catalog.set_config(E'search_path', E'\"$user\", it''s', false)"]),
    ([(b"TimeZone", None)], [b"SELECT pg_catalog.set_config(E'TimeZone', NULL, false)"]),
    # A failure of these leaves an aborted transaction, so that nothing behind it is executed.
    ([(b"role", b"none"), (b"x", b"\\")],
     [b"BEGIN; SELECT pg_catalog.set_config(E'role', E'none', false), "
      b"pg_catalog.set_config(E'x', E'\\\\', false); COMMIT"]),
    # Values are in the client's encoding, which goes ahead of those where that matters.
    ([(b"TimeZone", b"UTC"), (b"client_encoding", b"LATIN1")],
     [b"SELECT pg_catalog.set_config(E'TimeZone', E'UTC', false), "
      b"pg_catalog.set_config(E'client_encoding', E'LATIN1', false)"]),
    ([(b"application_name", b"\xe4"), (b"client_encoding", b"LATIN1")],
     [b"SELECT pg_catalog.set_config(E'client_encoding', E'LATIN1', false)",
      b"SELECT pg_catalog.set_config(E'application_name', '\xe4', false)"]),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "texts"), REPLAYS)
def test_what_is_sent(changed: list[Change], texts: list[bytes]) -> None:
    """Pitfalls 33 and 35: lists are not quoted as one, no value is cut, none is decoded."""
    assert replay(changed) == [messages.query(text) for text in texts]


def test_what_a_reset_took_back_too_far_is_set_again() -> None:
    query = restore(settings({b"TimeZone": b"it's"}))
    assert query.startswith(b"Q")
    assert b"FROM (VALUES (E'TimeZone', E'it''s')) AS v (n, v)" in query


def test_what_is_not_set_is_what_it_was_at_the_start() -> None:
    start = settings({b"a": b"1", b"b": b"2"})
    assert with_start(settings({b"a": b"9"}), start) is settings({b"a": b"9", b"b": b"2"})
    assert with_start(DEFAULTS, DEFAULTS) is DEFAULTS


ROWS: list[tuple[list[tuple[bytes, bytes | None]], dict[bytes, bytes]]] = [
    ([], {}),
    ([(b"a", b"1"), (b"b", None)], {b"a": b"1"}),
    ([(b"role", b"none")], {}),
    ([(b"role", b"r")], {b"role": b"r"}),
    ([(b"My.Own", b"1"), (b"my.own", b"2")], {b"My.Own": b"1"}),
    ([(b"a", b"")], {b"a": b""}),
]


@pytest.mark.parametrize(("rows", "expected"), ROWS)
def test_what_the_catalogs_say(
    rows: list[tuple[bytes, bytes | None]], expected: dict[bytes, bytes]
) -> None:
    assert from_rows(rows) is settings(expected)


def test_what_a_text_means_depends_on_some_of_them() -> None:
    """Pitfall 13: the same text under another search_path is another statement."""
    plain = settings({b"work_mem": b"1MB"})
    assert plain.meaning == DEFAULTS.meaning
    assert settings({b"search_path": b"a"}).meaning != DEFAULTS.meaning
    assert settings({b"role": b"a"}).meaning != settings({b"role": b"b"}).meaning
