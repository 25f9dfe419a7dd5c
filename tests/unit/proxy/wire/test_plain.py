"""What kind of plain traffic some bytes are."""

import pytest

from sluice_proxy.session import common
from sluice_proxy.wire import plain, sql
from sluice_testing.stage import (
    DONE,
    SYNC,
    bind,
    data_row,
    describe,
    execute,
    msg,
    parse,
    query,
    ready,
)

Q = query(b"SELECT 1")
E = parse(b"SELECT 1") + bind() + describe(b"", b"P") + execute() + SYNC
BARE = parse(b"SELECT 1") + bind() + execute() + SYNC
NAMED = bind(b"s", b"1") + execute() + SYNC
TOLD = bind(b"s") + describe(b"", b"P") + execute() + SYNC
ROWS = msg("T", b"\0\0") + data_row(b"1")
HEAD = msg("1") + msg("2") + ROWS


@pytest.mark.parametrize(
    ("asked", "answer", "takes"),
    [
        (Q, ROWS + DONE + ready(), True),
        (Q, DONE + ready(), True),
        (Q, ROWS + DONE + ROWS + DONE + ready(), True),
        (Q, msg("C", b"DELETE 5\0") + ready(), True),
        (Q, msg("I") + ready(), True),
        (Q, DONE + ready("T"), True),
        (Q, DONE + ready("E"), False),
        # Not all of it, more than it, or something in it that is looked into.
        (Q, ROWS + DONE, False),
        (Q, ready(), False),
        (Q, DONE + ready() + ready(), False),
        (Q, msg("S", b"TimeZone\0CET\0") + DONE + ready(), False),
        (Q, msg("N", b"\0") + DONE + ready(), False),
        (Q, msg("C", b"DISCARD ALL\0") + ready(), False),
        (Q, msg("C", b"DEALLOCATE ALL\0") + ready(), False),
        (Q, b"T\0\0\0\3" + DONE + ready(), False),
        (Q, DONE + b"Z\0\0\0\6I", False),
        (E, HEAD + DONE + ready(), True),
        (E, msg("1") + msg("2") + msg("n") + DONE + ready(), True),
        (E, msg("1") + msg("2") + DONE + ready(), False),
        (BARE, msg("1") + msg("2") + data_row(b"1") + DONE + ready(), True),
        (BARE, HEAD + DONE + ready(), False),
        (NAMED, msg("2") + data_row(b"1") + DONE + ready(), True),
        (NAMED, msg("1") + msg("2") + DONE + ready(), False),
        (NAMED, msg("2") + ROWS + DONE + ready(), False),
        (TOLD, msg("2") + ROWS + DONE + ready("T"), True),
        (TOLD, msg("2") + DONE + ready(), False),
        (E, msg("1") + ROWS + DONE + ready(), False),
        (E, HEAD + DONE + data_row(b"1") + ready(), False),
        (E, HEAD + DONE + DONE + ready(), False),
        (E, HEAD + ROWS + DONE + ready(), False),
        (E, HEAD + msg("s") + ready(), False),
        (E, msg("1") + msg("2") + b"T\0\0\0\3" + DONE + ready(), False),
        (E, msg("1") + msg("2"), False),
    ],
)
def test_what_a_plain_answer_is(asked: bytes, answer: bytes, takes: bool) -> None:
    plan = common.plan_of(asked)
    assert plan >= 0
    assert bool(plain.status_of(answer, plan) in (ord("I"), ord("T"))) is takes


@pytest.mark.parametrize(
    "data",
    [
        b"",
        Q[:-1],
        Q + SYNC,
        query(b"SELECT \0"),
        query(b"SET a = 1"),
        query(b"LISTEN a"),
        E[:-5],
        E + SYNC,
        parse(b"SELECT 1", b"s") + bind(b"s") + execute() + SYNC,
        parse(b"SELECT 1") + bind(b"s") + execute() + SYNC,
        parse(b"SELECT 1") + bind(portal=b"p") + execute() + SYNC,
        parse(b"SELECT 1") + bind() + execute(b"p") + SYNC,
        parse(b"SELECT 1") + bind() + describe() + execute() + SYNC,
        parse(b"SELECT 1") + b"B\0\0\0\4" + execute() + SYNC,
        parse(b"SELECT 1") + b"B\0\0\0\5\0" + execute() + SYNC,
        parse(b"SELECT 1") + b"B\0\0\0\5\0\0" + execute() + SYNC,
        parse(b"SELECT 1") + execute() + SYNC,
        bind(b"s") + execute(),
        bind(b"s") + SYNC,
        bind(b"s", portal=b"p") + execute() + SYNC,
        bind() + execute() + SYNC,
        bind(b"s") + execute() + SYNC + SYNC,
        b"B\0\0\0\5\0s\0" + execute() + SYNC,
        parse(b"LISTEN a") + bind() + execute() + SYNC,
        msg("P", b"\0SELECT 1\0\0\1") + bind() + execute() + SYNC,
        b"P\0\0\0\1" + bind() + execute() + SYNC,
        SYNC,
        msg("d", b"1234567"),
    ],
)
def test_what_is_no_plain_request(data: bytes) -> None:
    assert common.plan_of(data) == plain.NONE


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (query(b"SELECT 12, 3"), b"SELECT , "),
        (parse(b"SELECT $1") + bind() + execute() + SYNC, b"SELECT $"),
        (parse(b"") + bind() + execute() + SYNC, b""),
    ],
)
def test_a_shape_is_the_text_without_digits(data: bytes, shape: bytes) -> None:
    assert plain.shape_of(data, plain.plan_of(data)) == shape


def test_shapes_beyond_what_is_remembered_are_judged_anew() -> None:
    words = [b"%c%c" % (a, b) for a in range(97, 123) for b in range(97, 123)]
    for word in words:
        for other in words[:4]:
            assert sql.harmless(b"SELECT %b FROM %b" % (word, other))
    assert not sql.harmless(b"SET a = ")


@pytest.mark.parametrize("name", [b"t", b"a much longer one"])
def test_a_named_statement_gets_another_name(name: bytes) -> None:
    assert plain.is_bound(plain.plan_of(NAMED))
    assert plain.is_bound(plain.plan_of(TOLD))
    assert not any(plain.is_bound(plain.plan_of(other)) for other in (Q, E, BARE))
    assert plain.name_of(NAMED) == b"s"
    assert plain.renamed(NAMED, name) == bind(name, b"1") + execute() + SYNC
