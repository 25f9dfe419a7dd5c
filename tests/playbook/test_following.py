"""What follows a client from server to server, and what keeps it with one."""

import pytest

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
    msg,
    parse,
    query,
    ready,
)

SET_NAME = query(b"SET application_name TO E'me'")


# Following the client: application_name, parameters


def test_application_name_goes_in_the_same_write_and_its_answer_is_kept_back() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client(application_name=b"me")
    client.sends(query(b"SELECT 1"))
    assert server.peer.writes == 1
    assert server.sees() == SET_NAME + query(b"SELECT 1")
    told = msg("S", b"application_name\0me\0")
    server.sends(msg("C", b"SET\0") + told + ready() + ANSWER)
    assert client.sees() == ANSWER
    client.sends(query(b"SELECT 1"))
    assert server.sees() == query(b"SELECT 1"), "the name is still there"


@pytest.mark.parametrize("size", [1, 2, 5, 7, 30])
def test_what_is_kept_back_may_come_in_any_pieces(size: int) -> None:
    stage = Stage()
    server, client = stage.server(), stage.client(application_name=b"me")
    client.sends(query(b"SELECT 1"))
    told = msg("S", b"application_name\0me\0")
    data = msg("C", b"SET\0") + told + ready() + ANSWER
    for at in range(0, len(data), size):
        server.sends(data[at : at + size])
    assert client.sees() == ANSWER
    assert server.idle


def test_the_name_goes_back_for_a_client_without_one() -> None:
    stage = Stage()
    server, named, nameless = stage.server(), stage.client(application_name=b"me"), stage.client()
    named.sends(query(b"SELECT 1"))
    server.sends(msg("C", b"SET\0") + ready() + ANSWER)
    server.sees()
    nameless.sends(query(b"SELECT 1"))
    assert server.sees() == query(b"SET application_name TO E''") + query(b"SELECT 1")


def test_parameters_that_changed_while_nobody_looked_are_told_at_the_link() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    told = msg("S", b"TimeZone\0UTC\0")
    server.sends(told)
    assert server.idle
    assert client.sees() == b""
    client.sends(query(b"SELECT 1"))
    assert client.sees() == told
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
    assert sent.startswith(CLOSE_UNNAMED + message if cleaned else message)
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
    message = parse(b"SELECT " + b"1" * 70000) + SYNC
    client.sends(message[:66000])
    client.sends(message[66000:])
    server.sends(msg("3"), msg("1"), ready())
    assert server.connection.expected.settled
    assert not server.idle


# Pins


EXTENDED = msg("1") + msg("2") + DONE


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (query(b"SET x = 1"), DONE),
        (query(b"LISTEN c"), DONE),
        (query(b"CREATE TEMP TABLE t (a int)"), DONE),
        (query(b"SELECT pg_advisory_lock(1)"), DONE),
        (parse(b"SET x = 1") + bind() + EXECUTE + SYNC, EXTENDED),
        (parse(b"SELECT 1", b"name") + SYNC, msg("3") + msg("1")),
        (msg("F", (2880).to_bytes(4, "big") + bytes(8)), msg("3") + msg("V")),
    ],
)
def test_what_is_left_behind_keeps_the_server(message: bytes, answer: bytes) -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(message)
    server.sends(answer, ready())
    assert server.connection.expected.settled
    assert not server.idle
    assert sum(stage.hub.counters.pins.values()) >= 1
    server.sees()
    client.sends(TERMINATE)
    assert server.sees() == query(b"DISCARD ALL")
    server.sends(DONE, ready())
    assert server.idle
    assert not server.connection.pins


def test_a_long_query_is_watched_to_its_end() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    message = query(b"SELECT '" + b"x" * 100000 + b"'; SET x = 1")
    client.sends(message[:90000])
    assert not server.connection.pins
    client.sends(message[90000:-7])
    client.sends(message[-7:])
    assert server.sees() == CLOSE_UNNAMED + message
    server.sends(msg("3"), ANSWER)
    assert server.connection.expected.settled
    assert not server.idle


def test_a_setting_that_no_text_showed_is_seen_by_what_the_server_tells() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT f()"))
    server.sends(DONE, msg("S", b"TimeZone\0UTC\0"), ready())
    assert not server.idle
    assert stage.hub.counters.pins == {"SESSION_SETTING": 1}


def test_a_setting_that_the_transaction_undid_is_none() -> None:
    stage = Stage()
    server, client = stage.server(TimeZone=b"UTC"), stage.client()
    client.sends(query(b"BEGIN; SET LOCAL timezone = 'CET'"))
    server.sends(DONE, msg("S", b"TimeZone\0CET\0"), ready("T"))
    client.sends(query(b"COMMIT"))
    server.sends(DONE, msg("S", b"TimeZone\0UTC\0"), ready())
    assert server.idle
