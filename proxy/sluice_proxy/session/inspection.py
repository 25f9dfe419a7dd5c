"""What the server's catalogs say of a session: its parameters, and what it left behind.

One Query, asked in the proxy's own name while the session rests outside a transaction. It
reads what is true, whoever did it and however: a function, a rollback, a DO block.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sluice_proxy.session import suspects
from sluice_proxy.session.pinning import PinReason
from sluice_proxy.session.settings import Settings, from_rows
from sluice_proxy.session.suspects import NOBODY, Suspects
from sluice_proxy.targets.server_login import CHECK_INTERVAL
from sluice_proxy.wire import messages

# Every name and operator is the catalog's own, whatever the session's search_path is.
_SETTINGS = (
    b"SELECT 's', name, setting FROM pg_catalog.pg_settings"
    b" WHERE source OPERATOR(pg_catalog.=) '%b'"
    b" AND NOT pg_catalog.starts_with(name, 'transaction_')"
)
# Those that the view leaves out: the role, and what applications made up.
_HIDDEN = (
    b" UNION ALL SELECT 's', n, pg_catalog.current_setting(n, true)"
    b" FROM pg_catalog.unnest(%b::pg_catalog.text[]) AS n"
)
# All in one transaction; what the timeout was is read before.
_WITHOUT_TIMEOUT = (
    b"SELECT 's', 'statement_timeout', pg_catalog.current_setting('statement_timeout');"
    b" SET LOCAL statement_timeout TO 0; "
)
# What the proxy asks for at the start of its connections is nothing that a client has set.
_NOT_OUR_OWN = (
    b" AND NOT (name OPERATOR(pg_catalog.=) '%b' AND setting OPERATOR(pg_catalog.=) '%b')"
) % CHECK_INTERVAL
_STARTUP_ONLY = (
    b" UNION ALL SELECT 'o', name, setting FROM pg_catalog.pg_settings"
    b" WHERE source OPERATOR(pg_catalog.=) 'client'"
    b" AND context OPERATOR(pg_catalog.~) '^(superuser-)?backend$'"
)
# What belongs to a schema depends on it (pg_depend); 2615 is pg_namespace itself.
_OBJECTS = (
    b"SELECT '%d', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_depend"
    b" WHERE refclassid OPERATOR(pg_catalog.=) 2615::pg_catalog.oid"
    b" AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())"
    b" UNION ALL SELECT '%d', '', '' WHERE EXISTS"
    b" (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)"
    b" UNION ALL SELECT '%d', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_locks"
    b" WHERE locktype OPERATOR(pg_catalog.=) 'advisory'"
    b" AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())"
    b" UNION ALL SELECT '%d', '', '' WHERE EXISTS"
    b" (SELECT pg_catalog.pg_listening_channels())"
    b" UNION ALL SELECT '%d', '', '' WHERE EXISTS"
    b" (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql"
    b" AND NOT pg_catalog.starts_with(name, '%b'))"
    b" UNION ALL SELECT '%d', '', '' WHERE session_user OPERATOR(pg_catalog.<>) %b"
    b" UNION ALL SELECT 'w', '', '' WHERE NOT EXISTS"
    b" (SELECT FROM pg_catalog.pg_prepared_statements"
    b" WHERE pg_catalog.starts_with(name, '%b'))"
) % (
    PinReason.TEMPORARY_OBJECT,
    PinReason.HOLDABLE_CURSOR,
    PinReason.ADVISORY_LOCK,
    PinReason.LISTEN,
    PinReason.PREPARED_STATEMENT,
    b"%b",
    PinReason.SESSION_AUTHORIZATION,
    b"%b",
    b"%b",
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: parameters (`names`: those with a dot too), objects, functions.

    `source` is pg_settings' word for who set them; `user` logged in, `prefix` begins the
    names of the proxy's own prepared statements. `patient`: whatever the session's own
    statement_timeout is.
    """

    settings: bool = False
    objects: bool = False
    functions: bool = False
    names: tuple[bytes, ...] = ()
    user: bytes = b""
    prefix: bytes = b""
    source: bytes = b"session"
    patient: bool = False

    def query(self) -> bytes:
        """The Query message."""
        parts = []
        if self.settings:
            at_start = self.source == b"client"
            text = _SETTINGS % self.source + (_NOT_OUR_OWN if at_start else b"")
            text += _HIDDEN % messages.literal(_array((b"role", *self.names)))
            parts.append(text + (_STARTUP_ONLY if at_start else b""))
        if self.functions:
            parts.append(suspects.QUESTION)
        if self.objects:
            parts.append(_OBJECTS % (self.prefix, messages.literal(self.user), self.prefix))
        ahead = _WITHOUT_TIMEOUT if self.patient else b""
        return messages.query(ahead + b" UNION ALL ".join(parts))


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found. `startup_only`: a parameter that can be set at the start alone.

    `wiped`: there is no prepared statement of the proxy's. `no_role`: none is set.
    """

    settings: Settings
    pins: PinReason
    startup_only: bool = False
    wiped: bool = False
    no_role: bool = False
    functions: Suspects = NOBODY


def findings(rows: Iterable[list[bytes | None]]) -> Findings:
    """What the rows say, each of three columns."""
    pins = PinReason.NONE
    startup_only = wiped = no_role = False
    found: list[tuple[bytes, bytes | None]] = []
    functions: list[tuple[bytes, bytes]] = []
    for kind, name, value in rows:
        if kind == b"s":
            no_role |= name == b"role" and value == b"none"
            found.append((name or b"", value))
        elif kind == b"o":
            startup_only = True
        elif kind == b"f":
            functions.append((name or b"", value or b""))
        elif kind == b"w":
            wiped = True
        else:
            pins |= PinReason(int(kind or b"0"))
    known = suspects.suspects(functions)
    return Findings(from_rows(found), pins, startup_only, wiped, no_role, known)


def _array(names: Iterable[bytes]) -> bytes:
    # Names are made of letters, digits, `_`, `$` and dots: nothing to be quoted.
    return b"{" + b",".join(names) + b"}"
