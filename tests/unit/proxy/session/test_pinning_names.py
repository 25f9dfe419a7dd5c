"""The names that a text sets, and those of the prepared statements that it calls, as tables."""

import pytest

from sluice_proxy.session.pinning import DEALLOCATE, EXECUTE, PREPARE, effects_of

NAMES = [
    (b"SET a.b = 1", (b"a.b",)),
    (b'SET "a.b" = 1', (b"a.b",)),
    (b"SET SESSION a.b TO 'x'", (b"a.b",)),
    (b"SET a . b FROM CURRENT", (b"a.b",)),
    (b"RESET a.b", (b"a.b",)),
    (b"SELECT set_config('a.b', 'x', false)", (b"a.b",)),
    (b"SELECT set_config('a.b', 'x', true)", ()),
    (b"SET work_mem = '1MB'", ()),
    (b"SELECT a.b FROM a", ()),
]


@pytest.mark.parametrize(("text", "names"), NAMES)
def test_names_with_a_dot_are_found_where_something_is_set(
    text: bytes, names: tuple[bytes, ...]
) -> None:
    assert effects_of(text).names == names


CALLS = [
    (b"PREPARE p AS SELECT 1", [(PREPARE, b"p", 0)]),
    (b"prepare P(int) as select $1", [(PREPARE, b"p", 0)]),
    (b'PREPARE "P x" AS SELECT 1', [(PREPARE, b"P x", 0)]),
    (b"PREPARE TRANSACTION 'x'", []),
    (b"PREPARE", []),
    (b"EXECUTE p(1)", [(EXECUTE, b"p", 0)]),
    (b"EXPLAIN EXECUTE p", [(EXECUTE, b"p", 0)]),
    (b"EXPLAIN ANALYZE VERBOSE EXECUTE p", [(EXECUTE, b"p", 0)]),
    (b"EXPLAIN (ANALYZE, COSTS off) EXECUTE p", [(EXECUTE, b"p", 0)]),
    (b"CREATE TABLE t AS EXECUTE p", [(EXECUTE, b"p", 0)]),
    (b"CREATE TRIGGER x AFTER INSERT ON t EXECUTE FUNCTION f()", []),
    (b"GRANT EXECUTE ON FUNCTION f() TO r", []),
    (b"SELECT 'EXECUTE p'", []),
    (b"EXECUTE", []),
    (b"DEALLOCATE p", [(DEALLOCATE, b"p", 0)]),
    (b"DEALLOCATE PREPARE p", [(DEALLOCATE, b"p", 0)]),
    (b"DEALLOCATE prepare", [(DEALLOCATE, b"prepare", 0)]),
    (b'DEALLOCATE "all"', [(DEALLOCATE, b"all", 0)]),
    (b"DEALLOCATE ALL", []),
    (b"DEALLOCATE", []),
    (b'EXECUTE U&"d\\0061ta"', [(EXECUTE, b"data", 0)]),
    (b'EXECUTE U&"\\+FFFFFF"', []),
    (b"SELECT 1; PREPARE p AS SELECT 2; ; EXECUTE p; DEALLOCATE q",
     [(PREPARE, b"p", 1), (EXECUTE, b"p", 2), (DEALLOCATE, b"q", 3)]),
    (b"EXECUTE " + b"n" * 70, [(EXECUTE, b"n" * 63, 0)]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "calls"), CALLS)
def test_prepared_statements_of_sql(text: bytes, calls: list[tuple[bytes, bytes, int]]) -> None:
    """Pitfall 22: their names are found wherever a statement uses one."""
    assert [(call.verb, call.name, call.index) for call in effects_of(text).calls] == calls


def test_a_call_knows_where_its_name_and_its_statement_stand() -> None:
    text = b'SELECT 1; PREPARE "a b" AS SELECT 2; SELECT 3'
    [call] = effects_of(text).calls
    assert text[call.start : call.end] == b'"a b"'
    assert text[call.first : call.last] == b'PREPARE "a b" AS SELECT 2'
