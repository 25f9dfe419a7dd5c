"""What many scripts say."""

from sluice_testing.raw import SYNC, bind, describe, execute, parse

INT4PL, INT4DIV = 177, 154  # pg_proc: integer + and /
INT4, TEXT = 23, 25  # pg_type

NUMBERS = "CREATE TABLE numbers (n int PRIMARY KEY);"
DEFERRED = "CREATE TABLE numbers (n int, UNIQUE (n) DEFERRABLE INITIALLY DEFERRED);"

COPY_IN = "COPY numbers FROM STDIN"


def run(sql: str | bytes, *values: str | bytes | None, portal: str = "") -> bytes:
    """Parse, Bind and Execute of an unnamed statement."""
    return parse(sql) + bind(*values, portal=portal) + execute(portal)


def rerun(name: str, *values: str | bytes | None) -> bytes:
    """Bind and Execute of a named statement, and Sync."""
    return bind(*values, name=name) + execute() + SYNC


def whole(sql: str | bytes, *values: str | bytes | None) -> bytes:
    """As drivers do: Parse, Describe, Bind, Describe, Execute, Sync."""
    said = parse(sql) + describe("S") + bind(*values) + describe("P")
    return said + execute() + SYNC


ONE = run("SELECT 1")
BAD = run("SELECT nothing")
TEN = parse("SELECT * FROM generate_series(1, 10)")
