"""Who calls what how: prepared statements as values."""

import pytest

from sluice_proxy.session.pinning import NOTHING
from sluice_proxy.session.settings import DEFAULTS, settings
from sluice_proxy.session.statement import PREFIX, Statement, from_parse, from_prepare
from sluice_proxy.session.statements import (
    LIMITS,
    Change,
    ClientStatements,
    Closing,
    Naming,
    Preparing,
    ServerStatements,
    Untaking,
)
from sluice_proxy.wire import messages

REST = b"SELECT 1\0\0\0"


def statement(number: int = 1) -> Statement:
    return from_parse(b"SELECT %d\0\0\0" % number, DEFAULTS, NOTHING)


def test_the_same_text_types_and_meaning_is_the_same_statement() -> None:
    """Pitfall 13: by the exact bytes, not by a hash of them."""
    one = from_parse(REST, DEFAULTS, NOTHING)
    assert one is from_parse(bytes(REST), DEFAULTS, NOTHING)
    assert one is from_parse(REST, settings({b"work_mem": b"1"}), NOTHING)
    others = [
        from_parse(b"SELECT 1 \0\0\0", DEFAULTS, NOTHING),
        from_parse(b"SELECT 1\0\0\1\0\0\0\x17", DEFAULTS, NOTHING),
        from_parse(REST, settings({b"search_path": b"a"}), NOTHING),
        from_prepare(b" AS SELECT 1", DEFAULTS, NOTHING),
    ]
    assert len({one.name, *(other.name for other in others)}) == 5


def test_what_makes_a_statement() -> None:
    parsed = from_parse(REST, DEFAULTS, NOTHING)
    assert parsed.message == messages.message(b"P", parsed.name + b"\0" + REST)
    prepared = from_prepare(b" AS SELECT 1", DEFAULTS, NOTHING)
    assert prepared.prepare == b"PREPARE " + prepared.name + b" AS SELECT 1"
    assert prepared is from_prepare(b" AS SELECT 1", DEFAULTS, NOTHING)
    assert parsed.meaning == prepared.meaning == DEFAULTS.meaning
    assert all(name.startswith(PREFIX) for name in (parsed.name, prepared.name))
    assert (parsed.kept, prepared.kept, Statement(NOTHING).kept) == (True, True, False)
    assert Statement(NOTHING, template=b"EXECUTE p").kept


def test_what_nobody_uses_is_forgotten() -> None:
    """Pitfall 25."""
    name = from_parse(b"SELECT forgotten\0\0\0", DEFAULTS, NOTHING).name
    assert from_parse(b"SELECT forgotten\0\0\0", DEFAULTS, NOTHING).name != name


def test_a_server_has_what_it_confirmed_or_what_fails_with_it() -> None:
    """Pitfall 14: sent is not yet there."""
    server, one = ServerStatements(), statement()
    assert not server.has(one, 5)
    server.sending(one, 5)
    assert (server.has(one, 5), server.has(one, 6), server.confirmed) == (True, False, False)
    server.confirm(one)
    assert (server.has(one, 6), server.confirmed) == (True, True)
    server.drop(one)
    server.drop(one)
    assert not server.has(one, 6)
    assert server.has(Statement(NOTHING), 6), "one that was too long is only where it is"


def test_what_was_made_under_other_parameters_is_made_anew_when_they_change() -> None:
    """Its result, and every literal in its text, was understood by the parameters then."""
    server, elsewhere = ServerStatements(), settings({b"search_path": b"elsewhere"})
    here, there = statement(), from_parse(REST, elsewhere, NOTHING)
    unknown = from_parse(REST, None, NOTHING)
    all_ = (here, there, unknown)

    def known() -> list[bool]:
        return [server.has(one, 6) for one in all_]

    for one in all_:
        server.sending(one, 5)
        server.confirm(one)
    assert known() == [True, True, True]
    server.read_under(DEFAULTS.meaning)
    assert known() == [True, True, True], "nothing changed"
    server.read_under(elsewhere.meaning)
    assert known() == [True, False, False]
    server.sending(there, 6)
    server.read_under(None)
    server.read_under(DEFAULTS.meaning)
    assert known() == [True, True, False], "one that is at home here stays"


def test_what_was_made_while_parameters_were_not_known_is_made_anew_when_they_are() -> None:
    server, one, unknown = ServerStatements(), statement(), from_parse(REST, None, NOTHING)
    server.read_under(None)
    for sent in (one, statement(2), unknown):
        server.sending(sent, 5)
    server.drop(one)
    server.sending(one, 5)
    assert (server.has(one, 5), server.has(unknown, 5)) == (True, True)
    server.drop(statement(2))
    server.read_under(DEFAULTS.meaning)
    assert (server.has(one, 5), server.has(unknown, 5)) == (False, False)


def test_the_ones_used_longest_ago_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall 19."""
    monkeypatch.setattr(LIMITS, "server", 2)
    server, all_ = ServerStatements(), [statement(number) for number in range(4)]
    for one in all_:
        server.sending(one, 0)
        server.confirm(one)
    assert server.has(all_[0], 1)
    assert server.overflow() == [all_[1], all_[2]]
    assert (len(server), server.overflow()) == (2, [])
    server.clear()
    assert len(server) == 0


def test_a_client_gives_names_and_takes_them_back() -> None:
    """Pitfall 16."""
    client, one, two = ClientStatements(), statement(1), statement(2)
    assert client.put(b"a", one, 3) is None
    assert client.put(b"a", two, 3) is one
    assert client.get(b"a") is two
    client.take_back(b"a", two, one)
    assert client.get(b"a") is one
    client.take_back(b"a", two, None)
    assert client.get(b"a") is one, "that change is undone already"
    assert client.put(b"a", None, 3) is one
    client.take_back(b"a", None, one)
    assert (client.names(), len(client)) == ([b"a"], 1)


def test_names_are_the_same_that_are_the_same_so_far() -> None:
    client = ClientStatements()
    client.put(b"n" * 70, statement(), 0)
    assert client.get(b"n" * 63) is statement()
    assert client.get(b"n" * 64) is statement()
    assert client.get(b"n" * 62) is None


@pytest.mark.parametrize(
    ("changed", "sent", "answered", "uncertain"),
    [(3, 3, 3, False), (3, 4, 3, True), (3, 5, 4, False), (3, 4, 2, True)],
)
def test_what_a_name_means_may_depend_on_an_answer(
    changed: int, sent: int, answered: int, uncertain: bool
) -> None:
    client = ClientStatements()
    client.changing(b"a", changed)
    assert client.is_uncertain(b"a", sent, answered) is uncertain
    assert not client.is_uncertain(b"b", sent, answered)
    client.rest()
    assert not client.is_uncertain(b"a", sent, answered)
    client.wipe(changed)
    assert client.is_uncertain(b"b", sent, answered) is uncertain
    assert client.is_changing
    client.rest()
    assert not client.is_changing


def test_errors_speak_the_clients_language() -> None:
    """Pitfall 24: but for the server's own views, nobody sees the proxy's names."""
    client, one, two = ClientStatements(), statement(1), statement(2)
    client.put(b"mine", one, 0)
    client.put(b"gone", two, 0)
    client.put(b"gone", None, 0)
    said = b'"%b" and "%b0" and "%b"' % (one.name, one.name, two.name)
    assert client.clients_word(said) == b'"mine" and "mine0" and "gone"'
    assert client.clients_word(b"no name") == b"no name"
    client.clear()
    assert client.clients_word(one.name) == b"mine"


def test_what_is_remembered_of_former_names_has_an_end() -> None:
    client = ClientStatements()
    kept = [statement(number) for number in range(300)]
    for one in kept:
        client.put(b"a", one, 0)
        client.put(b"a", None, 0)
    words = [client.clients_word(one.name) for one in kept]
    assert 0 < words.count(b"a") <= 102


def test_one_that_is_too_long_is_known() -> None:
    client = ClientStatements()
    assert not client.holds_long
    client.put(b"a", Statement(NOTHING), 0)
    assert client.holds_long


def test_notes_confirm_and_take_back() -> None:
    client, server, one = ClientStatements(), ServerStatements(), statement()
    Preparing(server, one).done()
    assert not server.has(one, 9), "it was dropped in the meantime"
    server.sending(one, 1)
    Preparing(server, one).done()
    assert server.has(one, 9)
    Preparing(server, one).undone()
    assert not server.has(one, 9)
    server.sending(one, 1)
    naming = Naming(server, one, client, Change(b"a", one, client.put(b"a", one, 1)))
    naming.done()
    assert server.has(one, 9)
    naming.undone()
    assert (client.get(b"a"), server.has(one, 9)) == (None, False)
    client.put(b"a", one, 1)
    client.put(b"a", None, 1)
    Closing(client, b"a", one).undone()
    assert client.get(b"a") is one


def test_a_close_that_was_skipped_is_due_again() -> None:
    taken = [b"a", b"b"]
    note = Untaking(taken, b"a")
    assert taken == [b"b"]
    note.undone()
    assert taken == [b"b", b"a"]
