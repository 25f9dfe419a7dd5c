"""Functions that change the session behind the text that calls them.

Their names are asked of the server's catalogs, for each database, now and then. A text that
holds one of them may do anything: what it did is looked for when its transaction is over.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from sluice_proxy.session.pinning import Effects
from sluice_proxy.wire import messages, sql

# What stands where a statement begins, in the body of a function or in a string that it
# executes; and what matters wherever it stands.
_PATTERN = messages.literal(
    rb"(^|[;$']|\m(begin|then|else|loop)\M)\s*"
    rb"(set|reset|discard|listen|unlisten|load|prepare|deallocate)\M"
    rb"(?!\s+(local|transaction|constraints)\M)"
    rb"|\m(temp|temporary|setseed|set_config)\M|pg_temp|advisory_lock|dblink_connect|with\s+hold"
)
_PARAMETER = messages.literal(rb"'([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)'")
# 11 is the schema pg_catalog, 12 and 13 are the languages internal and c.
_IS_SUSPECT = (
    b"f.pronamespace OPERATOR(pg_catalog.<>) 11::pg_catalog.oid"
    b" AND f.prolang OPERATOR(pg_catalog.<>) 12::pg_catalog.oid"
    b" AND f.prolang OPERATOR(pg_catalog.<>) 13::pg_catalog.oid"
    b" AND f.prosrc OPERATOR(pg_catalog.~*) " + _PATTERN
)
# The functions themselves with the parameters that they name, who calls them, and the tables
# whose triggers they are.
QUESTION = (
    b"SELECT 'f', f.proname::pg_catalog.text, (SELECT pg_catalog.string_agg(m[1], ' ')"
    b" FROM pg_catalog.regexp_matches(f.prosrc, " + _PARAMETER + b", 'g') AS m)"
    b" FROM pg_catalog.pg_proc AS f WHERE " + _IS_SUSPECT + b" UNION ALL"
    b" SELECT 'f', g.proname::pg_catalog.text, '' FROM pg_catalog.pg_proc AS f"
    b" JOIN pg_catalog.pg_proc AS g"
    b" ON pg_catalog.strpos(g.prosrc, f.proname::pg_catalog.text) OPERATOR(pg_catalog.>) 0"
    b" AND g.pronamespace OPERATOR(pg_catalog.<>) 11::pg_catalog.oid"
    b" WHERE " + _IS_SUSPECT + b" UNION ALL"
    b" SELECT 'f', c.relname::pg_catalog.text, '' FROM pg_catalog.pg_proc AS f"
    b" JOIN pg_catalog.pg_trigger AS t ON t.tgfoid OPERATOR(pg_catalog.=) f.oid"
    b" JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) t.tgrelid"
    b" WHERE " + _IS_SUSPECT
)
# A database with more of them than this is looked at after every transaction.
_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Suspects:
    """The names in one database; `parameters` with a dot that they may set."""

    pattern: re.Pattern[bytes] | None
    parameters: tuple[bytes, ...] = ()

    def judge(self, effects: Effects, text: bytes) -> Effects:
        """`effects` of `text`, and what such a function in it may do."""
        if self.pattern is None or self.pattern.search(text) is None:
            return effects
        return doubted(effects, text, self.parameters)


NOBODY: Final = Suspects(None)
# What is not known yet may be anything.
EVERYBODY: Final = Suspects(re.compile(b""))


def doubted(effects: Effects, text: bytes, parameters: tuple[bytes, ...]) -> Effects:
    """`effects`, and whatever else may be."""
    names = sql.dotted_names(text, (*effects.names, *parameters))
    return replace(effects, guessed=True, names=names)


def suspects(rows: Iterable[tuple[bytes, bytes]]) -> Suspects:
    """From the rows that answer QUESTION: name, and parameters between blanks."""
    names: set[bytes] = set()
    parameters: list[bytes] = []
    for name, found in rows:
        names.add(name)
        parameters += found.split()
    if not names:
        return NOBODY
    known = tuple(dict.fromkeys(parameters))[:100]
    if len(names) > _LIMIT:
        return Suspects(re.compile(b""), known)
    words = b"|".join(re.escape(name) for name in sorted(names))
    return Suspects(re.compile(rb"(?<!\w)(?:" + words + rb")(?!\w)", re.IGNORECASE), known)
