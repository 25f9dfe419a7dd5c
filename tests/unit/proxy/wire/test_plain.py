"""What kind of plain traffic some bytes are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from sluice_testing.twins import source_of

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
            text = b"SELECT %b FROM %b" % (word, other)
            assert sql.harmless(text)
            assert common.plan_of(query(text)) == plain.QUERY
    assert not sql.harmless(b"SET a = ")
    assert common.plan_of(query(b"SET a = ")) == plain.NONE


@pytest.mark.parametrize("name", [b"t", b"a much longer one"])
def test_a_named_statement_gets_another_name(name: bytes) -> None:
    assert plain.is_bound(plain.plan_of(NAMED))
    assert plain.is_bound(plain.plan_of(TOLD))
    assert not any(plain.is_bound(plain.plan_of(other)) for other in (Q, E, BARE))
    assert plain.name_of(NAMED) == b"s"
    assert plain.renamed(NAMED, name) == bind(name, b"1") + execute() + SYNC


@pytest.fixture(params=[source_of(plain), plain], ids=["source", "as imported"])
def module(request: pytest.FixtureRequest) -> Any:
    return request.param


def knows(module: Any, text: bytes) -> bool:
    known = {module.is_known(query(text), plain.QUERY)}
    pipeline = parse(text) + bind() + execute() + SYNC
    known.add(module.is_known(pipeline, plain.plan_of(pipeline)))
    assert len(known) == 1
    return known.pop()


def test_a_shape_is_known_once_it_was_told(module: Any) -> None:
    shape = b"SELECT known FROM here WHERE n = "
    assert not knows(module, shape + b"12")
    module.know(shape)
    for text in (shape, shape + b"7", b"1" + shape, b"SEL4ECT5 known FROM here WHERE n = 66"):
        assert knows(module, text)
    for text in (shape[:-1], shape + b"x", shape.replace(b"n =", b"m ="), b"", b"5"):
        assert not knows(module, text)


def test_two_shapes_of_one_hash_are_told_apart(module: Any) -> None:
    """Both have 2091316638, by FNV-1a with 32 bits."""
    module.know(b"SELECT nakejft")
    assert not knows(module, b"SELECT wrzfuhy")
    module.know(b"SELECT wrzfuhy")
    assert knows(module, b"SELECT wrzfuhy")


def test_a_text_that_has_no_end_is_not_known(module: Any) -> None:
    assert not module.is_known(b"P\0\0\0\6SELECT", 100)


def test_of_long_shapes_nothing_is_kept(module: Any) -> None:
    longest = b"SELECT " + b"x" * (module.KNOWN_LENGTH - 7)
    module.know(longest)
    assert knows(module, longest)
    module.know(longest + b"x")
    assert not knows(module, longest + b"x")


def test_what_is_forgotten_is_only_not_known(module: Any) -> None:
    """There is room for some hundreds, and for whatever is in use."""
    shapes = [
        b"SELECT " + bytes([97 + n % 26, 97 + n // 26 % 26, 97 + n // 676]) for n in range(3000)
    ]
    for shape in shapes:
        module.know(shape)
        assert knows(module, shape)
    assert 0 < sum(knows(module, shape) for shape in shapes) <= 512


_told: set[bytes] = set()
letters = st.text("ab1", max_size=6).map(str.encode)


@pytest.mark.parametrize("known_by", [source_of(plain), plain], ids=["source", "as imported"])
@given(told=letters, asked=letters)
def test_nothing_is_known_that_was_not_told(known_by: Any, told: bytes, asked: bytes) -> None:
    shape = told.replace(b"1", b"")
    known_by.know(shape)
    _told.add(shape)
    assert knows(known_by, told)
    if knows(known_by, asked):
        assert asked.replace(b"1", b"") in _told
