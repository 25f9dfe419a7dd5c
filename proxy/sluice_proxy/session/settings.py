"""The parameters of a session, as values: what differs from a fresh one, and how to get there.

Nothing here parses a SET. The server is asked what is set when a transaction that may have
set something is over (`inspection`): rolled back, done by a function, quoted or a list, the
answer is the server's own. `set_config` takes exactly what it gives.
"""

from collections.abc import Iterable, Mapping
from typing import Final
from weakref import WeakValueDictionary

from sluice_proxy.wire import messages

# What the meaning of a query text depends on: a statement prepared under other values of
# these is another statement.
_MEANING: Final = (
    b"client_encoding",
    b"search_path",
    b"role",
    b"DateStyle",
    b"IntervalStyle",
    b"TimeZone",
    b"standard_conforming_strings",
    b"backslash_quote",
    b"transform_null_equals",
    b"xmloption",
    b"default_text_search_config",
)
# A value of these that was good once is good for ever: setting it cannot fail.
_SURE: Final = frozenset(
    (
        b"application_name",
        b"client_encoding",
        b"client_min_messages",
        b"DateStyle",
        b"IntervalStyle",
        b"TimeZone",
        b"search_path",
        b"extra_float_digits",
        b"bytea_output",
        b"statement_timeout",
        b"lock_timeout",
        b"idle_in_transaction_session_timeout",
        b"standard_conforming_strings",
        b"work_mem",
    )
)

Change = tuple[bytes, bytes | None]


class Settings:
    """Parameters that differ from those of a fresh session, by name. Equal ones are the same."""

    __slots__ = ("__weakref__", "hides_temporary", "meaning", "values")

    def __init__(self, values: Mapping[bytes, bytes]):
        self.values = values
        # Whatever is created without a schema is temporary.
        self.hides_temporary = b"pg_temp" in values.get(b"search_path", b"")
        self.meaning = tuple(values.get(name) for name in _MEANING)

    def __repr__(self) -> str:
        return f"Settings({dict(self.values)!r})"


_known: WeakValueDictionary[frozenset[tuple[bytes, bytes]], Settings] = WeakValueDictionary()


def settings(values: Mapping[bytes, bytes]) -> Settings:
    """The one Settings object of these values: sameness is a matter of identity."""
    key = frozenset(values.items())
    found = _known.get(key)
    if found is None:
        found = _known[key] = Settings(dict(values))
    return found


DEFAULTS: Final = settings({})


def with_start(now: Settings, start: Settings) -> Settings:
    """`now` as its client sees it: what is not set any more is what it was at the start.

    RESET on a server leads to that server connection's own start, not to the client's.
    """
    if not start.values:
        return now
    return settings({**start.values, **now.values})


def changes(now: Settings, wanted: Settings) -> list[Change]:
    """What to set (None: to reset) so that `now` becomes `wanted`.

    The role goes first to none, since another's may be forbidden what follows, and last to
    where it has to be.
    """
    have, want = now.values, wanted.values
    found: list[Change] = [(name, None) for name in have if name not in want]
    found += [(name, value) for name, value in want.items() if have.get(name) != value]
    # A parameter of an application's own is never unset again: empty is all there is.
    found = [c for c in found if c[1] is not None or have[c[0]] or b"." not in c[0]]
    if not any(name == b"role" for name, _ in found):
        if found and have.get(b"role"):
            return [(b"role", b"none"), *found, (b"role", have[b"role"])]
        return found
    others = [change for change in found if change[0] != b"role"]
    return [(b"role", b"none"), *others, (b"role", want.get(b"role"))]


def replay(changed: list[Change]) -> list[bytes]:
    """The Query messages that make `changed` so.

    Values are in the client's encoding, which therefore goes ahead. Where one could fail, the
    failure leaves an aborted transaction behind: nothing that follows is executed.
    """
    if not changed:
        return []
    ahead = [change for change in changed if change[0] == b"client_encoding"]
    rest = [change for change in changed if change[0] != b"client_encoding"]
    if not ahead or all((value or b"").isascii() for _, value in rest):
        return [_query(changed)]
    return [_query(ahead), _query(rest)]


def restore(start: Settings) -> bytes:
    """The Query that sets again what a RESET took back to before the client's start.

    What the session has set itself stays as it is, and so does what a RESET did not touch.
    """
    rows = b", ".join(
        b"(%b, %b)" % (messages.literal(name), messages.literal(value))
        for name, value in start.values.items()
    )
    return messages.query(_RESTORE % rows)


_RESTORE = (
    b"SELECT pg_catalog.set_config(v.n, v.v, false) FROM (VALUES %b) AS v (n, v)"
    b" LEFT JOIN pg_catalog.pg_settings AS s ON s.name OPERATOR(pg_catalog.=) v.n"
    b" WHERE CASE WHEN s.name IS NULL THEN"
    b" COALESCE(pg_catalog.current_setting(v.n, true), '')"
    b" OPERATOR(pg_catalog.=) ANY ('{\"\",none}'::pg_catalog.text[])"
    b" ELSE s.source OPERATOR(pg_catalog.<>) 'session' END"
)


def _query(changed: list[Change]) -> bytes:
    calls = b", ".join(
        b"pg_catalog.set_config(%b, %b, false)" % (_literal(name), _literal(value))
        for name, value in changed
    )
    text = b"SELECT " + calls
    if not all(name in _SURE for name, _ in changed):
        text = b"BEGIN; " + text + b"; COMMIT"
    return messages.query(text)


def _literal(value: bytes | None) -> bytes:
    return b"NULL" if value is None else messages.literal(value)


def from_rows(rows: Iterable[tuple[bytes, bytes | None]]) -> Settings:
    """What an inspection found; of two rows for one name the first counts."""
    values: dict[bytes, bytes] = {}
    seen: set[bytes] = set()
    for name, value in rows:
        if name.lower() in seen:
            continue
        seen.add(name.lower())
        if value is not None and not (name == b"role" and value == b"none"):
            values[name] = value
    return settings(values)
