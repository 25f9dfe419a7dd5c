"""SQL's PREPARE, EXECUTE and DEALLOCATE: names in texts, and places in errors."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.session.pinning import NOTHING, effects_of
from sluice_proxy.session.scripts import (
    Edit,
    Executing,
    Rewritten,
    Script,
    edited,
    moved_back,
    rewrite,
)
from sluice_proxy.session.settings import DEFAULTS
from sluice_proxy.session.statement import PREFIX, from_parse
from sluice_proxy.session.statements import ClientStatements, ServerStatements
from sluice_proxy.wire.note import FORWARD, SKIP

KNOWN = from_parse(b"SELECT $1\0\0\0", DEFAULTS, NOTHING)


def client(**names: object) -> ClientStatements:
    found = ClientStatements()
    found.put(b"known", KNOWN, 0)
    found.rest()
    return found


def made(text: bytes, of: ClientStatements | None = None) -> Rewritten:
    return rewrite(text, effects_of(text).calls, of or client(), DEFAULTS)


def shown(rewritten: Rewritten) -> bytes:
    """With K for the known statement's name and M for those that the text makes."""
    names = {statement.name: b"M" for statement in rewritten.makes} | {KNOWN.name: b"K"}
    return re.sub(PREFIX + rb"\d+", lambda name: names[name[0]], rewritten.text)


TEXTS = [
    (b"EXECUTE known(1)", b"EXECUTE K(1)"),
    (b'EXECUTE "known"', b"EXECUTE K"),
    (b"EXECUTE unknown", b"EXECUTE unknown"),
    (b"DEALLOCATE known", b"DEALLOCATE K"),
    (b"DEALLOCATE PREPARE known", b"DEALLOCATE PREPARE K"),
    (b"PREPARE p AS SELECT 1", b"PREPARE M AS SELECT 1"),
    (b"PREPARE known AS SELECT 1", b"PREPARE known AS SELECT 1"),
    (b"EXPLAIN EXECUTE known(1); SELECT 'EXECUTE known'",
     b"EXPLAIN EXECUTE K(1); SELECT 'EXECUTE known'"),
    (b"PREPARE p AS SELECT 1; EXECUTE p; DEALLOCATE p; EXECUTE p",
     b"PREPARE M AS SELECT 1; EXECUTE M; DEALLOCATE M; EXECUTE p"),
    (b"DEALLOCATE known; PREPARE known AS SELECT 2; EXECUTE known",
     b"DEALLOCATE K; PREPARE M AS SELECT 2; EXECUTE M"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_names_become_the_servers(text: bytes, expected: bytes) -> None:
    """Pitfall 22."""
    assert shown(made(text)) == expected


def test_what_must_be_done_around_a_text() -> None:
    rewritten = made(b"EXECUTE known; PREPARE p AS SELECT set_config('a', 'b', false); EXECUTE p")
    assert rewritten.needs == [KNOWN]
    [statement] = rewritten.makes
    assert rewritten.changes == {1: (b"p", statement)}
    assert [effects.settings for effects in rewritten.effects] == [False, True]
    assert rewritten.matters
    taken = made(b"PREPARE known AS SELECT 1")
    assert (taken.taken, taken.makes, taken.matters) == ([b"known"], [], True)
    assert not made(b"EXECUTE unknown").matters


@given(
    st.binary(max_size=30),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.binary(max_size=4))),
)
def test_edits_are_made_in_order(data: bytes, wanted: list[tuple[int, int, bytes]]) -> None:
    edits: list[Edit] = []
    expected, at = b"", 0
    for start, size, new in sorted(wanted):
        if at <= start <= len(data):
            end = min(start + size, len(data))
            edits.append(Edit(start, end, new))
            expected += data[at:start] + new
            at = end
    assert edited(data, edits) == expected + data[at:]


def test_without_an_edit_it_is_the_same_object() -> None:
    data = b"x" * 100
    assert edited(data, []) is data


PLACES = [
    b"EXECUTE known; bad",
    b"bad; EXECUTE known",
    b"EXECUTE known; EXECUTE known; bad",
    b"PREPARE p AS SELECT bad",
    "SELECT 'é'; EXECUTE known; bad".encode(),
    b"SELECT '\xe9'; EXECUTE known; bad",
]


@pytest.mark.parametrize("text", PLACES)
def test_places_are_the_clients(text: bytes) -> None:
    """Characters, not bytes, as the server counts them."""
    rewritten = made(text)

    def place(of: bytes) -> int:
        before = re.split(rb"\bbad\b", of)[0]  # the servers' names are random, and may say it
        try:
            return len(before.decode()) + 1
        except UnicodeDecodeError:
            return len(before) + 1

    assert moved_back(place(rewritten.text), rewritten) == b"%d" % place(text)


def test_a_place_before_the_text_or_within_a_name() -> None:
    rewritten = made(b"EXECUTE known; x")
    assert moved_back(0, rewritten) is None
    assert moved_back(-5, rewritten) is None
    assert moved_back(9, rewritten) == b"9"
    assert moved_back(10, rewritten) == b"9"


def test_a_script_tells_of_each_statement_that_is_done() -> None:
    names, server = client(), ServerStatements()
    text = b"PREPARE p AS SELECT 1; SELECT 2; DEALLOCATE known; DEALLOCATE p"
    rewritten = made(text, names)
    ahead = made(b"PREPARE q AS SELECT 3").makes
    for statement in (*ahead, *rewritten.makes):
        server.sending(statement, 1)
    script = Script(rewritten, names, server, ahead)
    assert script.completed() == SKIP
    assert server.has(ahead[0], 9)
    assert script.completed() == FORWARD
    assert names.get(b"p") is rewritten.makes[0]
    assert server.has(rewritten.makes[0], 9)
    assert script.completed() == FORWARD
    assert script.completed() == FORWARD
    assert names.get(b"known") is None
    script.completed()
    assert names.get(b"p") is None


def test_the_error_of_a_script_is_put_right() -> None:
    names = client()
    rewritten = made(b"EXECUTE known; bad", names)
    script = Script(rewritten, names, ServerStatements(), ahead=50)
    place = 50 + rewritten.text.index(b"bad") + 1
    assert script.edit_error(b"P", b"%d" % place) == b"16"
    assert script.edit_error(b"P", b"3") is None
    assert script.edit_error(b"M", b'"%b"' % KNOWN.name) == b'"known"'
    assert script.edit_error(b"P", b"no number") == b"no number"


def test_an_execute_is_in_force_until_it_fails() -> None:
    names, server = client(), ServerStatements()
    server.confirm(KNOWN)
    text = b"DEALLOCATE known"
    running = Executing(made(text, names), names, server, 4)
    assert names.get(b"known") is None
    running.undone()
    assert names.get(b"known") is KNOWN
    Executing(made(text, names), names, server, 4).done()
    assert (names.get(b"known"), server.has(KNOWN, 9)) == (None, False)


def test_an_execute_that_prepares_or_wipes() -> None:
    names, server = client(), ServerStatements()
    rewritten = made(b"PREPARE p AS SELECT 1", names)
    running = Executing(rewritten, names, server, 4)
    assert names.get(b"p") is rewritten.makes[0]
    running.undone()
    assert names.get(b"p") is None
    running = Executing(rewritten, names, server, 4)
    running.done()
    assert server.has(rewritten.makes[0], 9)
    assert running.edit_error(b"P", b"9") == b"9"
    assert running.edit_error(b"M", rewritten.makes[0].name) == b"p"
    Executing(Rewritten(b"DEALLOCATE ALL", wipes=True), names, server, 5).done()
    assert names.names() == []
