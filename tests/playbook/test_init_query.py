"""`initQuery` on a new server connection, as a conversation."""

import pytest

from sluice_proxy.errors import ProxyError, ServerUnavailable
from sluice_proxy.targets.init_query import InitQuery, InitQueryFailed, run_init_query
from sluice_proxy.targets.server_login import Greeting, Read, Write
from sluice_proxy.wire import messages
from sluice_testing.stage import error, msg, ready

SET = messages.parameter_status(b"TimeZone", b"Europe/Vienna")


QUESTION = messages.query(b"SELECT what is set")
ROW = msg("D", b"\0\3" + b"".join(b"\0\0\0\1" + value for value in (b"s", b"a", b"1")))


def play(query: str, answers: bytes) -> tuple[bytes, Greeting]:
    """What was sent, and the greeting in the end; every byte of `answers` must be read."""
    greeting = Greeting({b"TimeZone": b"GMT", b"server_version": b"18.1"})
    steps = run_init_query(InitQuery(query, QUESTION), greeting)
    sent = b""
    answer = None
    while True:
        try:
            command = steps.send(answer)
        except StopIteration:
            assert not answers
            return sent, greeting
        answer = None
        if isinstance(command, Write):
            sent += command.data
        else:
            assert isinstance(command, Read)
            length = int.from_bytes(answers[1:5], "big")
            answer = answers[0], answers[5 : length + 1]
            answers = answers[length + 1 :]


@pytest.mark.parametrize(
    "answers",
    [
        msg("C", b"SET\0") + ready(),
        msg("N", b"SNOTICE\0Mhello\0\0") + msg("C", b"SET\0") + ready(),
        msg("T", b"\0\0") + msg("D", b"\0\0") + msg("C", b"SELECT 1\0") + ready(),
        msg("H", b"\0\0\0") + msg("d", b"1\n") + msg("c") + msg("C", b"COPY 1\0") + ready(),
        msg("I") + ready(),
        msg("A", b"\0\0\0\7channel\0payload\0") + ready(),
    ],
    ids=["SET", "with a notice", "rows", "COPY TO", "empty", "with a notification"],
)
def test_whatever_it_answers_is_nobodys(answers: bytes) -> None:
    sent, greeting = play("SET work_mem = '8MB'", answers + ROW + msg("C", b"SELECT 1\0") + ready())
    assert sent == messages.query(b"SET work_mem = '8MB'") + QUESTION
    assert greeting.answer == [[b"s", b"a", b"1"]], "nothing of the rows of its own"


def test_what_it_sets_is_where_clients_begin() -> None:
    done = SET + msg("C", b"SET\0") + ready()
    _, greeting = play("SET TimeZone = 'Europe/Vienna'", done + ready())
    assert greeting.parameters == {b"TimeZone": b"Europe/Vienna", b"server_version": b"18.1"}


@pytest.mark.parametrize(
    ("answers", "sqlstate", "text"),
    [
        (error(b"42601") + ready(), "42601", "spec.connectionPool.initQuery failed: no"),
        (msg("C", b"SET\0") + error(b"42501") + ready(), "42501", "initQuery failed: no"),
        (error(b"XX000", b"FATAL"), "XX000", "initQuery failed: no"),
        (msg("C", b"BEGIN\0") + ready("T"), "25001", "initQuery leaves a transaction open"),
        (msg("C", b"BEGIN\0") + ready("E"), "25001", "initQuery leaves a transaction open"),
        (msg("G", b"\0\0\0"), "0A000", "initQuery asks for data"),
        (msg("W", b"\0\0\0"), "0A000", "initQuery asks for data"),
    ],
)
def test_a_failure_names_the_field_and_is_told_at_once(
    answers: bytes, sqlstate: str, text: str
) -> None:
    with pytest.raises(InitQueryFailed, match=text) as failed:
        play("…", answers)
    assert failed.value.sqlstate == sqlstate
    assert not failed.value.transient
    assert "spec.connectionPool.initQuery" in failed.value.hint


@pytest.mark.parametrize("sqlstate", [b"57P01", b"53300"])
def test_a_server_that_stops_meanwhile_is_waited_for(sqlstate: bytes) -> None:
    with pytest.raises(ServerUnavailable) as failed:
        play("SELECT 1", error(sqlstate, b"FATAL"))
    told: ProxyError = failed.value
    assert told.transient
