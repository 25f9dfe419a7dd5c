"""Prepared statements: what the server is sent for them, and when."""

import re

import pytest

from sluice_proxy.session.pinning import PinReason
from sluice_proxy.session.statement import PREFIX, WITNESS
from sluice_proxy.session.statements import LIMITS
from sluice_testing.stage import (
    ANSWER,
    DONE,
    EXECUTE,
    SYNC,
    TERMINATE,
    ServerSide,
    Stage,
    bind,
    close,
    data_row,
    describe,
    error,
    fields,
    found,
    msg,
    parse,
    query,
    ready,
)
from sluice_testing.theatre import Theatre

MINE = parse(b"SELECT $1", b"mine")
USE = bind(b"mine", b"1") + EXECUTE


def name_in(sent: bytes) -> bytes:
    """The server's name of the statement that was sent first."""
    found = re.search(PREFIX + rb"\d+", sent)
    assert found is not None
    return found[0]


def another_server(stage: Stage) -> ServerSide:
    stage.hub.pools.set_limit(2)
    blocker, spare = stage.client(), stage.client()
    blocker.sends(query(b"BEGIN"))
    spare.sends(query(b"SELECT 1"))
    second = stage.server()
    second.sends(ANSWER)
    second.sees()
    return second


def prepared(stage: Stage) -> tuple[ServerSide, bytes]:
    """A statement of a client's, and the server that knows it."""
    server, client = stage.server(), stage.client()
    client.sends(MINE, SYNC)
    name = name_in(server.sees())
    server.sends(msg("3"), msg("3"), msg("1"), ready())
    assert client.sees() == msg("1") + ready()
    assert server.idle
    return server, name


def test_a_parse_gets_a_name_that_is_shared() -> None:
    """Pitfalls 12 and 13: the Parse goes to the server, which judges it each time."""
    stage = Stage()
    server, name = prepared(stage)
    other = stage.client()
    other.sends(parse(b"SELECT $1", b"theirs"), SYNC)
    again = close(name) + parse(b"SELECT $1", name) + SYNC
    assert server.sees().endswith(again)


def test_what_a_server_lacks_goes_in_the_same_write() -> None:
    """Pitfall 14."""
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(MINE, SYNC)
    name = name_in(server.sees())
    server.sends(msg("3"), msg("3"), msg("1"), ready())
    client.sees()
    second = another_server(stage)
    client.sends(USE, SYNC)
    assert second.peer.writes == 1
    made = close(name) + parse(b"SELECT $1", name)
    assert second.sees().endswith(made + bind(name, b"1") + EXECUTE + SYNC)
    second.sends(msg("3"), msg("3"), msg("1"), msg("2"), DONE, ready())
    assert client.sees() == msg("2") + DONE + ready()
    client.sends(describe(b"mine"), SYNC)
    assert second.sees().endswith(describe(name) + SYNC)


def test_what_cannot_be_made_there_is_the_answer_to_its_bind() -> None:
    """Pitfall 14: the table is gone, perhaps; and nothing is taken to be there."""
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(MINE, SYNC)
    name = name_in(server.sees())
    server.sends(msg("3"), msg("3"), msg("1"), ready())
    client.sees()
    second = another_server(stage)
    client.sends(USE, SYNC)
    second.sees()
    second.sends(msg("3"), msg("3"), error(b"42P01"), ready())
    assert client.sees() == error(b"42P01") + ready()
    assert second.idle
    client.sends(USE, SYNC)
    assert parse(b"SELECT $1", name) in second.sees(), "it is tried again"


def test_a_cached_plan_that_is_stale_heals_itself() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(MINE, SYNC)
    name = name_in(server.sees())
    server.sends(msg("3"), msg("3"), msg("1"), ready())
    client.sends(USE, SYNC)
    assert parse(b"SELECT $1", name) not in server.sees()
    stale = error(b"0A000", message=b"cached plan must not change result type")
    client.sees()
    server.sends(stale, ready())
    assert client.sees() == stale + ready()
    client.sends(USE, SYNC)
    assert parse(b"SELECT $1", name) in server.sees()


@pytest.mark.parametrize("limit", [1, 3])
def test_the_ones_used_longest_ago_are_closed(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall 19: at the next link, never within a pipeline that uses them."""
    monkeypatch.setattr(LIMITS, "server", limit)
    theatre = Theatre()
    client, other = theatre.stage.client(), theatre.stage.client()
    for number in range(5):
        theatre.use_only(0)
        theatre.hear(client, parse(b"SELECT %d" % number, b"s%d" % number) + SYNC)
    theatre.use_only(0)
    theatre.hear(other, query(b"SELECT 1"))
    held = [n for n in theatre.servers[0][1].session.statements if n.startswith(PREFIX)]
    assert len(held) == limit
    theatre.use_only(0)
    assert data_row(b"0") in theatre.hear(client, bind(b"s0") + EXECUTE + SYNC)


def test_a_client_with_too_many_keeps_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall 25."""
    monkeypatch.setattr(LIMITS, "client", 2)
    theatre = Theatre()
    client = theatre.stage.client()
    for number in range(2):
        theatre.hear(client, parse(b"SELECT %d" % number, b"s%d" % number) + SYNC)
    assert not theatre.holds(client)
    theatre.hear(client, parse(b"SELECT 3", b"s3") + SYNC)
    assert theatre.holds(client)
    assert b"3" in theatre.hear(client, bind(b"s3") + EXECUTE + SYNC)
    theatre.hear(client, close(b"s3") + SYNC)
    theatre.hear(client, query(b"SELECT 1"))
    assert not theatre.holds(client)


def test_a_long_parse_streams_and_keeps_its_server() -> None:
    """Pitfall 23: only its head is changed."""
    stage = Stage()
    server, client = stage.server(), stage.client()
    message = parse(b"SELECT '" + b"x" * 1_200_000 + b"'", b"long") + SYNC
    client.sends(message[:1_100_000])
    sent = server.sees()
    name = name_in(sent)
    client.sends(message[1_100_000:])
    sent += server.sees()
    assert sent.endswith(parse(b"SELECT '" + b"x" * 1_200_000 + b"'", name) + SYNC)
    server.sends(msg("3"), msg("1"), ready())
    assert client.sees() == msg("1") + ready()
    assert not server.idle
    client.sends(bind(b"long"), EXECUTE, SYNC)
    assert server.sees() == bind(name) + EXECUTE + SYNC


def test_what_was_made_under_other_settings_is_made_anew_without_them() -> None:
    """A literal such as '12:00'::timestamptz is understood when the statement is made."""
    theatre = Theatre()
    client = theatre.stage.client()

    def uses() -> bool:
        """Whether the statement is made for it."""
        theatre.sent = b""
        theatre.hear(client, bind(b"s") + EXECUTE + SYNC)
        return b"SELECT 7" in theatre.sent

    theatre.use_only(0)
    theatre.hear(client, parse(b"SELECT 7", b"s") + SYNC)
    theatre.use_only(1)
    theatre.hear(client, query(b"SET TimeZone TO Tokyo"))
    assert [uses(), uses()] == [True, False]
    theatre.hear(client, query(b"RESET TimeZone"))
    assert [uses(), uses()] == [True, False]
    theatre.hear(client, query(b"SET TimeZone TO Tokyo"))
    assert not uses(), "the server keeps what it was at the beginning, as without a proxy"


def test_what_was_made_under_anothers_settings_is_made_anew() -> None:
    """Two clients have the same; one uses it after a SET, where the other comes next."""
    theatre = Theatre()
    client, other = theatre.stage.client(), theatre.stage.client()
    theatre.use_only(0)
    for each in (client, other):
        theatre.hear(each, parse(b"SELECT 7", b"s") + SYNC)
    theatre.use_only(1)
    theatre.hear(client, query(b"SET TimeZone TO Tokyo"))
    made = []
    for each in (client, client, other, other):
        theatre.sent = b""
        theatre.hear(each, bind(b"s") + EXECUTE + SYNC)
        made.append(b"SELECT 7" in theatre.sent)
    assert made == [True, False, True, False]


# What drops every statement, and shows it in no text


def test_a_block_is_seen_to_drop_everything_where_nothing_was_prepared_yet() -> None:
    """The client's statement lives on another server, on which the block does not run."""
    stage = Stage()
    first, client = stage.server(), stage.client()
    client.sends(MINE, SYNC)
    name = name_in(first.sees())
    first.sends(msg("3"), msg("3"), msg("1"), ready())
    client.sees()
    second = another_server(stage)
    block = query(b"DO $$BEGIN EXECUTE 'DEALLOCATE ALL'; END$$")
    client.sends(block)
    witness = WITNESS.name
    assert second.sees() == close(witness) + parse(b"", witness) + SYNC + block
    second.sends(msg("3"), msg("1"), ready(), DONE, ready())
    assert client.sees() == DONE + ready()
    second.sends(found(PinReason.NONE, wiped=True))
    client.sends(USE, SYNC)
    assert name not in second.sees(), "it is gone, as it would be without a proxy"


def test_a_block_by_parse_and_bind_has_its_witness_too() -> None:
    stage = Stage()
    first, client = stage.server(), stage.client()
    client.sends(MINE, SYNC)
    first.sends(msg("3"), msg("3"), msg("1"), ready())
    second = another_server(stage)
    client.sends(parse(b"DO $$BEGIN EXECUTE 'DEALLOCATE ALL'; END$$"), bind(), EXECUTE, SYNC)
    witness = WITNESS.name
    assert second.sees().endswith(close(witness) + parse(b"", witness) + bind() + EXECUTE + SYNC)


def test_a_block_of_a_client_without_statements_needs_no_witness() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    block = query(b"DO $$BEGIN EXECUTE 'DEALLOCATE ALL'; END$$")
    client.sends(block)
    assert server.sees() == block


# Messages that wait for an answer


@pytest.mark.parametrize("message", [MINE + SYNC, query(b"PREPARE mine AS SELECT $1")])
def test_a_statement_waits_until_the_settings_it_is_made_under_are_known(message: bytes) -> None:
    """Its text may mean something else under them; whoever shares it must mean the same."""
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SET client_encoding = 'LATIN1'"))
    server.sends(DONE, ready())
    assert b"pg_settings" in server.sees()
    client.sends(parse(b"SELECT 1") + SYNC)
    assert server.sees() == parse(b"SELECT 1") + SYNC, "an unnamed one is shared with nobody"
    client.sends(message)
    assert server.sees() == b""
    server.sends(found(PinReason.NONE, (b"client_encoding", b"LATIN1")))
    server.sends(msg("1"), ready())
    assert PREFIX in server.sees()


def test_a_statement_waits_until_it_is_known_what_a_block_dropped() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(MINE, SYNC)
    name = name_in(server.sees())
    server.sends(msg("3"), msg("3"), msg("1"), ready())
    client.sends(query(b"DO $$BEGIN EXECUTE 'DEALLOCATE ALL'; END$$"))
    server.sees()
    server.sends(DONE, ready())
    client.sends(USE, SYNC)
    assert bind(name, b"1") not in server.sees()
    server.sends(found(PinReason.NONE, wiped=True))
    assert server.sees().endswith(bind(b"mine", b"1") + EXECUTE + SYNC)


def test_a_name_whose_meaning_is_open_waits_for_the_answer() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(MINE, SYNC, USE, SYNC)
    first = server.sees()
    assert first.endswith(SYNC)
    assert b"B" not in first[-12:]
    waits = [client.peer.paused]
    name = name_in(first)
    server.sends(msg("3"), msg("3"), msg("1"), ready())
    assert server.sees() == bind(name, b"1") + EXECUTE + SYNC
    waits.append(client.peer.paused)
    assert waits == [True, False]
    server.sends(msg("2"), DONE, ready())
    assert client.sees() == msg("1") + ready() + msg("2") + DONE + ready()
    assert server.idle


def test_a_name_that_was_refused_means_nothing_behind_it() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(MINE, SYNC, USE, SYNC)
    server.sees()
    server.sends(msg("3"), msg("3"), error(), ready())
    assert server.sees() == bind(b"mine", b"1") + EXECUTE + SYNC


def test_a_client_that_waits_so_and_leaves_leaves_a_clean_connection() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(MINE, SYNC, USE, SYNC)
    server.sees()
    client.hangs_up()
    server.sends(msg("3"), msg("3"), msg("1"), ready())
    assert server.sees() == b"", "what waited is not sent"
    assert server.idle


def test_a_goodbye_waits_with_the_rest() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(MINE, SYNC, USE, SYNC, TERMINATE)
    name = name_in(server.sees())
    server.sends(msg("3"), msg("3"), msg("1"), ready())
    assert server.sees() == bind(name, b"1") + EXECUTE + SYNC
    server.sends(msg("2"), DONE, ready())
    assert client.sees() == msg("1") + ready() + msg("2") + DONE + ready()
    assert client.peer.closed
    assert server.idle


def test_a_server_that_dies_under_one_that_waits_ends_it() -> None:
    """Pitfall 53."""
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(MINE, SYNC, USE, SYNC)
    server.hangs_up()
    assert fields(client.sees())["C"] == "08006"
    assert client.peer.closed
    assert stage.hub.pools.open == 0
