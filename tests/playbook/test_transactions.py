"""One transaction through the hub: who gets which byte, and when client and server part."""

import pytest

from sluice_proxy.session import client as states
from sluice_testing.stage import (
    ANSWER,
    CLOSE_UNNAMED,
    DONE,
    EXECUTE,
    SYNC,
    TERMINATE,
    Stage,
    bind,
    error,
    fields,
    msg,
    parse,
    query,
    ready,
    told,
)


def test_a_query_and_its_answer_are_the_same_bytes() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT 1"))
    assert server.sees() == query(b"SELECT 1")
    assert not server.idle
    server.sends(ANSWER[:9])
    server.sends(ANSWER[9:])
    assert client.sees() == ANSWER
    assert server.idle
    assert client.session.state == states.IDLE
    assert stage.hub.counters.transactions == 1


def test_a_transaction_keeps_its_server_to_the_end() -> None:
    stage = Stage()
    server, client, other = stage.server(), stage.client(), stage.client()
    client.sends(query(b"BEGIN"))
    server.sends(DONE, ready("T"))
    other.sends(query(b"SELECT 2"))
    assert other.peer.paused
    server.sees()
    client.sends(query(b"oops"))
    server.sends(error(), ready("E"))
    assert server.sees() == query(b"oops")
    client.sends(query(b"ROLLBACK"))
    server.sends(DONE, ready())
    assert server.sees() == query(b"ROLLBACK") + query(b"SELECT 2")
    assert not other.peer.paused
    assert other.sees() == b""
    server.sends(ANSWER)
    assert other.sees() == ANSWER


def test_the_next_in_the_queue_gets_the_server_in_the_same_breath() -> None:
    stage = Stage()
    server = stage.server()
    clients = [stage.client() for _ in range(4)]
    for number, client in enumerate(clients):
        client.sends(query(b"SELECT %d" % number))
    for number, client in enumerate(clients):
        assert server.sees() == query(b"SELECT %d" % number)
        server.sends(DONE, ready())
        assert [bool(other.sees()) for other in clients].index(True) == number
        assert client.session.state == states.IDLE


def test_a_pipeline_waits_for_its_last_sync() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    part = parse(b"SELECT 1") + bind() + EXECUTE + SYNC
    client.sends(part, part)
    answer = msg("1") + msg("2") + DONE + ready()
    server.sends(answer)
    assert not server.idle
    server.sends(answer)
    assert server.idle
    assert client.sees() == answer * 2


def test_a_flush_keeps_the_server() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(parse(b"SELECT 1"), msg("H"))
    server.sends(msg("1"))
    assert client.sees() == msg("1")
    assert not server.idle
    client.sends(SYNC)
    server.sends(ready())
    assert server.idle


def test_what_asks_nothing_needs_no_server() -> None:
    stage = Stage()
    client = stage.newcomer()
    stage.server().hangs_up()
    client.sees()
    client.sends(msg("H"), msg("c"), SYNC, msg("f", b"x\0"), SYNC)
    assert client.sees() == ready() * 2
    assert stage.dialler.attempts == []


def test_terminate_when_idle() -> None:
    stage = Stage()
    stage.server()
    client = stage.client()
    client.sends(SYNC, TERMINATE)
    assert client.peer.closed
    assert stage.hub.clients == {}


def test_what_was_asked_before_a_terminate_is_still_answered() -> None:
    """Pitfall 60."""
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT 1"), TERMINATE, msg("d", b"junk"))
    assert server.sees() == query(b"SELECT 1")
    server.sends(ANSWER)
    assert client.sees() == ANSWER
    assert client.peer.closed
    assert server.idle


def test_nothing_comes_after_a_terminate() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT 1"), TERMINATE, query(b"SELECT 2"))
    assert fields(client.sees())["C"] == "08P01"
    assert server.sees() == TERMINATE, "none of it was sent; the connection was given up"
    assert server.peer.closed


@pytest.mark.parametrize("apart", [False, True])
def test_a_message_that_has_no_place_is_refused_behind_what_was_asked(apart: bool) -> None:
    """The server says so itself, and ends the connection; in one read with the good one, or not."""
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"BEGIN"))
    server.sends(DONE, ready("T"))
    server.sees()
    client.sees()
    bad = b"G\0\0\0\4"
    asked = query(b"SELECT 1")
    for piece in (asked[:-3], asked[-3:], bad[:2], bad[2:]) if apart else (asked + bad,):
        client.sends(piece)
    assert server.sees() == asked + bad
    refusal = error(b"08P01", b"FATAL")
    server.sends(DONE, ready("T"), refusal)
    server.hangs_up()
    assert client.sees() == DONE + ready("T") + refusal
    assert client.peer.closed
    assert stage.hub.pools.open == 0


def test_it_is_refused_behind_the_rest_of_a_long_one_too() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    long = query(b"SELECT '%b'" % bytes(1_100_000))
    bad = b"G\0\0\0\4"
    client.sends(long[:-5])
    client.sends(long[-5:] + bad)
    assert server.sees().endswith(long[-100:] + bad)


def test_a_message_that_has_no_place_after_a_wait_harms_nobody_else() -> None:
    stage = Stage()
    server, busy, bad, third = stage.server(), stage.client(), stage.client(), stage.client()
    busy.sends(query(b"SELECT 1"))
    bad.sends(msg("p", b"x\0"))
    third.sends(query(b"SELECT 3"))
    server.sees()
    server.sends(ANSWER)
    assert busy.sees() == ANSWER
    assert fields(bad.sees())["C"] == "08P01"
    assert server.peer.closed
    server.hangs_up()
    fresh = stage.server()
    assert fresh.sees() == query(b"SELECT 3")
    fresh.sends(ANSWER)
    assert third.sees() == ANSWER
    assert stage.hub.pools.waiting == 0


@pytest.mark.parametrize("sent", [msg("B", b"no end"), msg("P", b"no end")])
def test_what_cannot_be_read_is_refused_by_the_server(sent: bytes) -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(sent, SYNC)
    assert server.sees() == CLOSE_UNNAMED + sent + SYNC
    server.sends(msg("3"), error(b"08P01"), ready())
    assert client.sees() == error(b"08P01") + ready()
    assert server.idle


def test_a_ready_with_half_a_message_behind_it_waits_for_the_rest() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    news = told(b"in_hot_standby", b"off")
    client.sends(query(b"SELECT 1"))
    server.sends(ANSWER, news[:8])
    assert not server.idle
    server.sends(news[8:])
    assert client.sees() == ANSWER + news
    assert server.idle, "what the server says of itself is no setting"


def test_a_notice_behind_a_ready_is_no_reason_to_stay() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    notice = msg("N", b"SNOTICE\0\0")
    client.sends(query(b"SELECT 1"))
    server.sends(ANSWER, notice[:3])
    assert not server.idle
    server.sends(notice[3:])
    assert server.idle
