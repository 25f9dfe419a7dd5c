"""What a look around a session asks, and what a session shows that nobody touched."""

import json
from dataclasses import dataclass

import psycopg

from sluice_testing.isolation.state import WATCHED
from sluice_testing.postgres import APP_USER, Postgres

_LISTED = ", ".join(f"'{name.lower()}'" for name in WATCHED)
_REST = f"FROM pg_settings WHERE lower(name) NOT IN ({_LISTED})"
_SHOWN = ", ".join(f"'{name}', coalesce(current_setting('{name}', true), '')" for name in WATCHED)

# The placeholder of a setting with a dot stays in a session for good; its value does not.
LOOK = f"""SELECT $1::text,
 (SELECT md5(string_agg(name || '=' || coalesce(setting, ''), ',' ORDER BY name)) {_REST}),
 json_build_object({_SHOWN})::text,
 coalesce((SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class
   WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'S', 'v')), ''),
 coalesce((SELECT string_agg(name, ',') FROM pg_cursors WHERE name <> ''), ''),
 coalesce((SELECT string_agg(objid::text, ',') FROM pg_locks
   WHERE locktype = 'advisory' AND pid = pg_backend_pid()), ''),
 coalesce((SELECT string_agg(channel, ',') FROM pg_listening_channels() channel), ''),
 coalesce(pg_current_xact_id_if_assigned()::text, ''),
 session_user::text, current_user::text, place FROM place"""
ALL_SETTINGS = f"SELECT name, coalesce(setting, '') {_REST}"

# An implicit transaction begins with its statement; only a simple query can be asked so.
NO_TRANSACTION = "SELECT (now() = statement_timestamp())::text"

START = "-c client_connection_check_interval=1s"


@dataclass(frozen=True)
class Defaults:
    """What a session has that nobody touched: asked of the server itself, past the proxy.

    It begins as the proxy's own server connections do.
    """

    digest: str
    settings: dict[str, str]
    shown: dict[str, str]


def defaults(server: Postgres, password: str, database: str) -> Defaults:
    """Of a fresh session of the tests' role."""
    dsn = server.dsn(APP_USER, password, database)
    with psycopg.connect(dsn, autocommit=True, options=START) as connection:
        cursor = psycopg.RawCursor(connection)
        row = cursor.execute(LOOK.encode(), ["fresh"]).fetchone()
        assert row is not None
        settings: dict[str, str] = dict(cursor.execute(ALL_SETTINGS.encode()).fetchall())
    return Defaults(row[1], settings, json.loads(row[2]))


@dataclass(frozen=True)
class Seen:
    """One answer to LOOK."""

    nonce: str
    digest: str
    shown: dict[str, str]
    temporary: str
    cursors: str
    locks: str
    channels: str
    transaction: str
    user: str
    role: str
    place: str

    @classmethod
    def of(cls, row: tuple[str | None, ...]) -> "Seen":
        nonce, digest, shown, *rest = [value or "" for value in row]
        return cls(nonce, digest, json.loads(shown), *rest)
