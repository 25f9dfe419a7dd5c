"""What follows a client from server to server, and what keeps it with one."""

import pytest

from sluice_proxy.pool.key import PoolKey
from sluice_proxy.session.pinning import PinReason
from sluice_testing.stage import (
    ANSWER,
    CLOSE_UNNAMED,
    DONE,
    EXECUTE,
    SYNC,
    TERMINATE,
    Stage,
    bind,
    data_row,
    error,
    fields,
    found,
    msg,
    parse,
    query,
    ready,
    told,
)
from sluice_testing.theatre import Theatre

SET_NAME = query(b"SELECT pg_catalog.set_config(E'application_name', E'me', false)")
REPLAYED = msg("T", b"\0\1") + data_row(b"me") + DONE
TOLD_NAME = told(b"application_name", b"me")


# Following the client: application_name, parameters


def test_application_name_goes_in_the_same_write_and_its_answer_is_kept_back() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client(application_name=b"me")
    client.sends(query(b"SELECT 1"))
    assert server.peer.writes == 1
    assert server.sees() == SET_NAME + query(b"SELECT 1")
    server.sends(REPLAYED + TOLD_NAME + ready() + ANSWER)
    assert client.sees() == ANSWER
    client.sends(query(b"SELECT 1"))
    assert server.sees() == query(b"SELECT 1"), "the name is still there"


@pytest.mark.parametrize("size", [1, 2, 5, 7, 30])
def test_what_is_kept_back_may_come_in_any_pieces(size: int) -> None:
    stage = Stage()
    server, client = stage.server(), stage.client(application_name=b"me")
    client.sends(query(b"SELECT 1"))
    data = REPLAYED + TOLD_NAME + ready() + ANSWER
    for at in range(0, len(data), size):
        server.sends(data[at : at + size])
    assert client.sees() == ANSWER
    assert server.idle


def test_the_name_goes_back_for_a_client_without_one() -> None:
    stage = Stage()
    server, named, nameless = stage.server(), stage.client(application_name=b"me"), stage.client()
    named.sends(query(b"SELECT 1"))
    server.sends(REPLAYED + TOLD_NAME + ready() + ANSWER)
    server.sees()
    nameless.sends(query(b"SELECT 1"))
    back = query(b"SELECT pg_catalog.set_config(E'application_name', NULL, false)")
    assert server.sees() == back + query(b"SELECT 1")


def test_parameters_that_changed_while_nobody_looked_are_told_at_the_link() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    news = told(b"TimeZone", b"CET")
    server.sends(news)
    assert server.idle
    assert client.sees() == b""
    client.sends(query(b"SELECT 1"))
    assert client.sees() == news
    server.sends(ANSWER)
    client.sees()
    client.sends(query(b"SELECT 1"))
    assert client.sees() == b"", "told once"


def test_a_server_that_differs_is_told_at_the_link() -> None:
    stage = Stage(limit=2)
    stage.server()
    client = stage.client()
    blocker = stage.client()
    blocker.sends(query(b"BEGIN"))
    client.sends(query(b"SELECT 1"))
    stage.server(server_version=b"18.2")
    assert client.sees() == msg("S", b"server_version\x0018.2\0")


def test_an_encoding_that_cannot_be_taken_apart_is_noticed_later_too() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    server.sends(msg("S", b"standard_conforming_strings\0off\0"))
    client.sends(query(b"SELECT 'a\\'; SET x = 1; --'"))
    server.sends(ANSWER)
    assert not server.idle


# The unnamed statement


def test_the_unnamed_statement_follows_its_client() -> None:
    stage = Stage(limit=2)
    first, client = stage.server(), stage.client()
    client.sends(parse(b"SELECT 1"), SYNC)
    first.sends(msg("1"), ready())
    first.sees()
    client.sees()
    blocker = stage.client()
    blocker.sends(query(b"BEGIN"))
    client.sends(bind(), EXECUTE, SYNC)
    second = stage.server()
    made = parse(b"SELECT 1") + bind() + EXECUTE + SYNC
    assert second.peer.writes == 1
    assert second.sees() == made
    second.sends(msg("1"), msg("2"), DONE, ready())
    assert client.sees() == msg("2") + DONE + ready()
    assert second.idle


def test_one_that_was_never_made_is_not_there() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(bind(), SYNC)
    assert server.sees() == CLOSE_UNNAMED + bind() + SYNC
    server.sends(msg("3"), error(b"26000"), ready())
    assert client.sees() == error(b"26000") + ready()
    assert server.idle


FIRST_MESSAGES = [
    (query(b"SELECT 1"), False),
    (parse(b"SELECT 1"), False),
    (parse(b"SELECT 1", b"name"), True),
    (bind(b"name"), True),
    (EXECUTE, True),
    (msg("D", b"Sname\0"), True),
    (msg("D", b"P\0"), True),
    (msg("C", b"Sname\0"), True),
    (msg("Q", b"two\0ends\0"), True),
    (msg("P", b"\0SELECT 1\0\0\0junk"), True),
    (msg("F", bytes(10)), True),
]


@pytest.mark.parametrize(("message", "cleaned"), FIRST_MESSAGES)
def test_the_statement_of_the_client_before_is_gone_before_anything_can_fail(
    message: bytes, cleaned: bool
) -> None:
    """After an error the server skips what would have replaced it, and then would run it."""
    stage = Stage()
    server, before, client = stage.server(), stage.client(), stage.client()
    before.sends(parse(b"SELECT 'private'"), SYNC)
    server.sends(msg("1"), ready())
    server.sees()
    client.sends(message, parse(b"SELECT 1"), SYNC, bind(), EXECUTE, SYNC)
    sent = server.sees()
    assert sent.startswith(CLOSE_UNNAMED) is cleaned
    assert b"private" not in sent


def test_a_closed_unnamed_statement_stays_closed() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(parse(b"SELECT 1"), SYNC)
    server.sends(msg("1"), ready())
    server.sees()
    client.sends(CLOSE_UNNAMED, bind(), SYNC)
    assert server.sees() == parse(b"SELECT 1") + CLOSE_UNNAMED + bind() + SYNC


def test_an_unnamed_statement_too_long_to_keep_pins() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    message = parse(b"SELECT " + b"1" * 1_100_000) + SYNC
    client.sends(message[:1_060_000])
    client.sends(message[1_060_000:])
    server.sends(msg("3"), msg("1"), ready())
    assert server.connection.expected.settled
    assert not server.idle
    server.sees()
    client.sends(query(b"SELECT 2"))
    server.sends(ANSWER)
    assert server.idle, "the Query destroyed it"


# Parameters that the catalogs tell


def test_a_setting_that_no_text_showed_is_seen_by_what_the_server_tells() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    news = told(b"TimeZone", b"CET")
    client.sends(query(b"SELECT f()"))
    server.sees()
    server.sends(DONE, news, ready())
    assert client.sees() == DONE + news + ready()
    assert b"pg_settings" in server.sees()
    server.sends(found(PinReason.NONE, (b"TimeZone", b"CET")))
    assert server.idle
    assert client.sees() == b"", "the answer is the proxy's own"
    stage.hub.pools.set_limit(2)
    blocker = stage.client()
    blocker.sends(query(b"BEGIN"))
    server.sends(DONE, ready("T"))
    client.sends(query(b"SELECT 1"))
    other = stage.server()
    zone = query(b"SELECT pg_catalog.set_config(E'TimeZone', E'CET', false)")
    assert (other.peer.writes, other.sees()) == (1, zone + query(b"SELECT 1"))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_answer_to_a_question_may_come_in_any_pieces(size: int) -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SET x = 1"))
    server.sends(DONE, ready())
    client.sees()
    data = found(PinReason.NONE, (b"x", b"1"))
    for at in range(0, len(data), size):
        server.sends(data[at : at + size])
    assert server.idle
    assert client.sees() == b""


def test_a_question_that_fails_keeps_the_connection_and_is_asked_again() -> None:
    """A statement_timeout of the client's own, perhaps."""
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SET x = 1"))
    server.sends(DONE, ready())
    assert client.sees() == DONE + ready()
    assert b"SET LOCAL statement_timeout" not in server.sees()
    server.sends(error(b"57014"), ready())
    assert b"SET LOCAL statement_timeout" in server.sees(), "once again, without the timeout"
    server.sends(error(b"57014"), ready())
    assert not server.idle
    assert server.sees() == b"", "not at once again"
    assert client.sees() == b""
    assert stage.hub.counters.pins == {"SESSION_SETTING": 1}
    client.sends(query(b"SELECT 1"))
    server.sends(ANSWER)
    assert b"pg_settings" in server.sees()
    server.sends(found(PinReason.NONE))
    assert server.idle


def test_a_replay_that_fails_ends_its_client_alone() -> None:
    """Pitfall 33: what was behind it is not executed, and nobody else gets the connection."""
    stage = Stage(limit=2)
    first, client, other = stage.server(), stage.client(), stage.client()
    client.sends(query(b"SET role gone"))
    first.sends(DONE, ready())
    first.sends(found(PinReason.NONE, (b"role", b"gone")))
    client.sees()
    other.sends(query(b"BEGIN"))
    client.sends(query(b"DELETE FROM t"))
    second = stage.server()
    sent = second.sees()
    assert sent.startswith(msg("Q", b"BEGIN; SELECT pg_catalog.set_config(")[:1])
    assert b"BEGIN; SELECT" in sent
    second.sends(msg("C", b"BEGIN\0"), error(b"22023", message=b"no such role"), ready("E"))
    said = fields(client.sees())
    assert (said["C"], said["S"]) == ("22023", "FATAL")
    assert "no such role" in said["M"]
    assert client.peer.closed
    assert second.sees() == TERMINATE
    assert not other.peer.closed


def test_a_setting_that_the_transaction_undid_is_none() -> None:
    theatre = Theatre()
    client = theatre.stage.client()
    theatre.hear(client, query(b"BEGIN; SET LOCAL TimeZone CET"))
    assert theatre.hear(client, query(b"COMMIT")) == (
        msg("C", b"COMMIT\0") + told(b"TimeZone", b"UTC") + ready()
    )
    assert not theatre.holds(client)


def test_startup_parameters_are_learnt_once_and_then_shared() -> None:
    stage = Stage(limit=2)
    key = PoolKey("app", "shop", ((b"TimeZone", b"CET"),))
    first = stage.newcomer(key)
    server = stage.server(key, TimeZone=b"CET")
    assert b"'client'" in server.sees()
    assert first.sees() == b""
    server.sends(found(PinReason.NONE, (b"TimeZone", b"CET")))
    assert told(b"TimeZone", b"CET") in first.sees()
    assert server.idle
    second = stage.client(key)
    plain = stage.server()
    second.sends(query(b"SELECT 1"))
    zone = query(b"SELECT pg_catalog.set_config(E'TimeZone', E'CET', false)")
    assert plain.sees() == zone + query(b"SELECT 1")


def test_a_server_that_does_not_tell_refuses_the_client() -> None:
    stage = Stage()
    key = PoolKey("app", "shop", ((b"TimeZone", b"CET"),))
    client, server = stage.newcomer(key), None
    server = stage.server(key)
    server.sends(error(), ready())
    assert fields(client.sees())["C"] == "08006"
    assert client.peer.closed
