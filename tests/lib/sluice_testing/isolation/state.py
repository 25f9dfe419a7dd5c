"""What an owner's session must look like: its settings, followed as PostgreSQL would."""

import random
from dataclasses import dataclass, field

ZONES = (
    "Europe/Zurich", "Asia/Tokyo", "America/New_York", "Africa/Lagos", "Asia/Kolkata",
    "Australia/Sydney", "America/Sao_Paulo", "Pacific/Auckland", "Asia/Kathmandu",
)  # fmt: skip
STYLES = ("SQL, DMY", "German, DMY", "Postgres, MDY", "ISO, YMD")
INTERVALS = ("iso_8601", "sql_standard", "postgres_verbose")
ROLES = 4

# Every setting that owners change. All others must have the server's default, always.
CHANGED = (
    "work_mem", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
    "TimeZone", "DateStyle", "IntervalStyle", "bytea_output", "extra_float_digits",
    "search_path", "application_name", "enable_seqscan", "client_min_messages",
    "default_transaction_isolation", "array_nulls", "stress.owner", "stress.text", "role",
)  # fmt: skip
# Those that nobody sets for the session: one of them elsewhere is a leak of a transaction.
WATCHED = (*CHANGED, "client_encoding", "transaction_isolation", "stress.local")
# RESET ALL leaves it as it is (GUC_NO_RESET_ALL).
_NOT_RESET = "role"


def value_for(name: str, owner: int, dice: random.Random) -> str:
    """A value of the owner's own, as SHOW will show it."""
    own = 1 + owner % 900
    choices: dict[str, tuple[str, ...]] = {
        "work_mem": (f"{64 + own}kB",),
        "statement_timeout": (f"{300_000 + own}ms",),
        "lock_timeout": (f"{200_000 + own}ms",),
        "idle_in_transaction_session_timeout": (f"{400_000 + own}ms",),
        "TimeZone": ZONES,
        "DateStyle": STYLES,
        "IntervalStyle": INTERVALS,
        "bytea_output": ("escape",),
        "extra_float_digits": ("0", "2", "3"),
        "search_path": (f"o{owner}, public", f"public, o{owner}", f"o{owner}, public, pg_catalog"),
        "application_name": (f"owner {owner}",),
        "enable_seqscan": ("off", "on"),
        "client_min_messages": ("warning", "error"),
        "default_transaction_isolation": ("repeatable read",),
        "array_nulls": ("off",),
        "stress.owner": (f"owner {owner}",),
        "stress.text": (f'{owner}\'s "own" \\ ü ; -- /* $1', f"E'{owner}'", f" {owner} , x "),
        "role": (f"stress_{dice.randrange(ROLES)}",),
    }
    return dice.choice(choices[name])


def quoted(value: str) -> str:
    """A string constant, with standard_conforming_strings on."""
    return "'" + value.replace("'", "''") + "'"


def set_statement(name: str, value: str, dice: random.Random, *, local: bool = False) -> str:
    """One of the ways to set it."""
    ways = []
    if name == "role":
        return f"SET {'LOCAL' if local else ''} ROLE {value}"
    # The elements of a list are quoted one by one; a list in one string is one element.
    text = value if name == "search_path" else quoted(value)
    scope = "LOCAL" if local else dice.choice(("", "SESSION"))
    ways.append(f"SET {scope} {name} {dice.choice(('TO', '='))} {text}")
    ways.append(f"SELECT set_config('{name}', {quoted(value)}, {'true' if local else 'false'})")
    if name == "TimeZone" and not local:
        ways.append(f"SET TIME ZONE {quoted(value)}")
    return dice.choice(ways)


@dataclass
class Settings:
    """`base` is what RESET goes back to. Transactions and savepoints are followed."""

    base: dict[str, str]
    session: dict[str, str] = field(default_factory=dict)
    local: dict[str, str] = field(default_factory=dict)
    _saved: list[tuple[dict[str, str], dict[str, str]]] = field(default_factory=list)

    def visible(self) -> dict[str, str]:
        shown = {**self.base, **self.session, **self.local}
        # That of a transaction of one statement.
        shown["transaction_isolation"] = shown["default_transaction_isolation"]
        return shown

    @property
    def touched(self) -> bool:
        return bool(self.session)

    def set(self, name: str, value: str) -> None:
        self.session[name] = value
        self.local.pop(name, None)

    def set_local(self, name: str, value: str) -> None:
        self.local[name] = value

    def reset(self, name: str) -> None:
        self.session.pop(name, None)
        self.local.pop(name, None)

    def reset_all(self) -> None:
        kept = {name: value for name, value in self.session.items() if name == _NOT_RESET}
        self.session = kept
        self.local = {name: value for name, value in self.local.items() if name == _NOT_RESET}

    def discard_all(self) -> None:
        self.session.clear()
        self.local.clear()

    def save(self) -> None:
        """BEGIN or SAVEPOINT."""
        self._saved.append((dict(self.session), dict(self.local)))

    def back(self) -> None:
        """ROLLBACK TO: the savepoint stays."""
        session, local = self._saved[-1]
        self.session, self.local = dict(session), dict(local)

    def release(self) -> None:
        self._saved.pop()

    def commit(self) -> None:
        self._saved.clear()
        self.local.clear()

    def rollback(self) -> None:
        self.session, self.local = self._saved[0]
        self._saved.clear()
