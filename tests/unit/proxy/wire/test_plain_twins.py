"""What is plain, said by C and by Python: the same of whatever bytes there are.

The module that Python takes is C's where it is compiled; its source is the other.
"""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluice_proxy.wire import plain
from sluice_testing.stage import (
    DONE,
    SYNC,
    bind,
    data_row,
    describe,
    error,
    execute,
    msg,
    parse,
    query,
    ready,
)
from sluice_testing.twins import source_of

pytestmark = pytest.mark.skipif(
    str(plain.__file__).endswith(".py"), reason="it is not compiled: there is one of them alone"
)


SOURCE = source_of(plain)
MESSAGES = [
    query(b"SELECT 1"), query(b""), parse(b"SELECT $1"), parse(b"SELECT 2", b"s"), bind(),
    bind(b"", b"17"), bind(portal=b"p"), describe(b"", b"P"), describe(), execute(), execute(b"p"),
    SYNC, DONE, ready(), ready("T"), ready("E"), data_row(b"1"), error(), msg("1"), msg("2"),
    msg("n"), msg("s"), msg("I"), msg("T", b"\0\0"), msg("C", b"DELETE 3\0"),
    msg("C", b"DEALLOCATE\0"), msg("C", b"DISCARD ALL\0"), msg("C", b"D"), msg("C", b"DELET"),
]  # fmt: skip
PIPELINES = [
    parse(b"SELECT $1") + bind(b"", b"5") + execute() + SYNC,
    parse(b"SELECT $1") + bind(b"", b"5") + describe(b"", b"P") + execute() + SYNC,
    bind(b"s", b"5") + execute() + SYNC,
    bind(b"s", b"5") + describe(b"", b"P") + execute() + SYNC,
    msg("2") + data_row(b"1") + DONE + ready(),
    msg("1") + msg("2") + data_row(b"1") + DONE + ready(),
    msg("1") + msg("2") + msg("T", b"\0\0") + data_row(b"1") + DONE + ready("T"),
]

whole = st.lists(st.sampled_from([*MESSAGES, *PIPELINES]), max_size=6).map(b"".join)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Messages in which some bytes are others, or missing."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, 3))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    begin, end = draw(st.integers(0, 2)), draw(st.integers(0, 3))
    return bytes(data[begin : len(data) - end])


anything = st.one_of(whole, damaged(), st.binary(max_size=40))
plans = st.one_of(st.sampled_from([0, 1, 2, 3]), st.integers(0, 1 << 20))


@settings(max_examples=3000)
@example(b"P\0\0\0\1" + PIPELINES[0])
@example(b"P\xff\xff\xff\xff" + PIPELINES[0])
@example(b"Q\xff\xff\xff\xff1\0")
@given(anything)
def test_what_kind_of_request(data: bytes) -> None:
    plan = SOURCE.plan_of(data)
    assert plain.plan_of(data) == plan
    if plan != plain.NONE:
        assert plain.shape_of(data, plan) == SOURCE.shape_of(data, plan)
    assert plain.is_bound(plan) == SOURCE.is_bound(plan)
    if SOURCE.is_bound(plan):
        assert plain.name_of(data) == SOURCE.name_of(data)
        for name in (b"a", b"a name that is longer"):
            assert plain.renamed(data, name) == SOURCE.renamed(data, name)


@settings(max_examples=3000)
@example(PIPELINES[4], 2)
@example(PIPELINES[5], 16)
@example(PIPELINES[6], 17)
@example(b"C\xff\xff\xff\xffx" + ready(), 0)
@given(anything, plans)
def test_what_kind_of_answer(data: bytes, plan: int) -> None:
    assert plain.status_of(data, plan) == SOURCE.status_of(data, plan)


@given(st.sampled_from([*PIPELINES[:4], query(b"SELECT 12")]), st.binary(max_size=20))
def test_each_kind_is_found(request: bytes, value: bytes) -> None:
    """The cases above are not all of one kind."""
    assert plain.plan_of(request) == SOURCE.plan_of(request) != plain.NONE
    assert plain.plan_of(query(b"SELECT " + value)) == SOURCE.plan_of(query(b"SELECT " + value))


@pytest.mark.parametrize("wrong", ["text", bytearray(b"Q\0\0\0\5a\0"), None, 7])
def test_other_things_than_bytes_are_refused(wrong: object) -> None:
    with pytest.raises(TypeError):
        plain.plan_of(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        plain.status_of(wrong, 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        plain.is_known(wrong, 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        plain.know(wrong)  # type: ignore[arg-type]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError):
        plain.status_of(b"")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        plain.status_of(b"", "0")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no plain request"):
        plain.shape_of(b"Q", 0)
