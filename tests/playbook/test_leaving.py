"""Clients that leave: what becomes of the connection that they held."""

import pytest

from sluice_testing.stage import (
    ANSWER,
    DONE,
    EXECUTE,
    TERMINATE,
    Stage,
    bind,
    error,
    msg,
    parse,
    query,
    ready,
)


def test_a_transaction_left_open_is_rolled_back() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"BEGIN"))
    server.sends(DONE, ready("T"))
    server.sees()
    client.hangs_up()
    assert server.sees() == query(b"ROLLBACK")
    assert not server.idle
    server.sends(DONE, ready())
    assert server.idle


def test_pinned_and_in_a_transaction_both_are_undone_before_the_next() -> None:
    stage = Stage()
    server, client, other = stage.server(), stage.client(), stage.client()
    client.sends(query(b"BEGIN; SET x = 1"))
    server.sends(DONE, ready("T"))
    server.sees()
    other.sends(query(b"SELECT 2"))
    client.hangs_up()
    assert server.sees() == query(b"ROLLBACK")
    server.sends(DONE, msg("S", b"x\x001\0"), ready())
    assert server.sees() == query(b"DISCARD ALL")
    server.sends(msg("S", b"x\x000\0"), DONE, ready())
    assert server.sees() == query(b"SELECT 2")
    assert other.sees() == msg("S", b"x\x000\0"), "its parameters, nothing of the clean-up"


def test_a_query_that_goes_on_is_awaited_and_then_cut() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT slow()"))
    client.hangs_up()
    assert not server.idle
    stage.tick(2)
    assert not server.peer.closed
    stage.tick(2)
    assert server.peer.closed
    [(cancelled, done)] = stage.dialler.cancels
    assert cancelled is server.connection
    done(True)
    server.hangs_up()
    assert stage.hub.pools.open == 0


def test_what_comes_for_a_client_that_left_goes_nowhere() -> None:
    stage = Stage()
    server, client, other = stage.server(), stage.client(), stage.client()
    client.sends(query(b"SELECT 1"))
    other.sends(query(b"SELECT 2"))
    client.hangs_up()
    server.sees()
    server.sends(ANSWER[:20])
    assert server.sees() == b""
    server.sends(ANSWER[20:])
    assert server.sees() == query(b"SELECT 2")
    assert other.sees() == b""
    assert client.sees() == b""


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (parse(b"SELECT 1") + bind(), b""),
        (parse(b"INSERT INTO t VALUES (1)") + bind() + EXECUTE, msg("1") + msg("2") + DONE),
        (parse(b"oops"), error()),
        (query(b"COPY t FROM STDIN"), msg("G", bytes(3))),
        (query(b"LOAD 'x'"), DONE + ready()),
        (query(b"SELECT dblink_connect('x')"), DONE + ready()),
        (query(b"SELECT setseed(0.1)"), DONE + ready()),
        (query(b"SELECT 1"), ANSWER + ready()),
        (msg("Q", b"x" * 1_200_000)[:1_100_000], b""),
        (query(b"COPY t FROM STDIN") + msg("d", b"x" * 100)[:50], msg("G", bytes(3))),
    ],
)
def test_what_cannot_be_undone_is_closed(sent: bytes, answered: bytes) -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(sent)
    if answered:
        server.sends(answered)
    server.sees()
    client.hangs_up()
    assert server.sees() == TERMINATE
    assert server.peer.closed
    server.sends(ANSWER)
    assert stage.hub.pools.closing == 1
    server.hangs_up()
    assert (stage.hub.pools.open, stage.hub.pools.closing) == (0, 0)
    assert stage.hub.servers == set()


def test_a_rollback_that_fails_closes() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"BEGIN"))
    server.sends(DONE, ready("T"))
    client.hangs_up()
    server.sends(error(), ready("T"))
    assert server.peer.closed


def test_a_client_that_waits_and_leaves_is_not_served() -> None:
    stage = Stage()
    server, busy, waiting = stage.server(), stage.client(), stage.client()
    busy.sends(query(b"SELECT 1"))
    waiting.sends(query(b"SELECT 2"))
    waiting.session.on_hangup()
    assert stage.hub.pools.waiting == 0
    server.sees()
    server.sends(ANSWER)
    assert server.sees() == b""
    assert server.idle


def test_copy_data_behind_a_failure_is_dropped() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"COPY t FROM STDIN"))
    server.sends(msg("G", bytes(3)))
    data = msg("d", b"x" * 100)
    client.sends(data, data[:30])
    server.sees()
    server.sends(error(), ready())
    assert not server.idle, "the server still reads the rest of the message"
    client.sends(data[30:])
    assert server.sees() == data[30:]
    assert server.idle
    client.sends(data, msg("c"), query(b"SELECT 1"))
    assert server.sees() == query(b"SELECT 1")
