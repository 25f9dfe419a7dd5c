"""What keeps a server connection with its client, and the proof that nothing does any more."""

import pytest

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
    found,
    msg,
    parse,
    query,
    ready,
)
from sluice_testing.theatre import Theatre

LEFT_BEHIND = [
    (query(b"LISTEN c"), query(b"UNLISTEN c")),
    (query(b"CREATE TEMP TABLE t"), query(b"DROP TABLE t")),
    (query(b"SELECT pg_advisory_lock(1)"), query(b"SELECT pg_advisory_unlock(1)")),
    (query(b"DECLARE c CURSOR WITH HOLD FOR SELECT 1"), query(b"CLOSE c")),
    (parse(b"LISTEN c") + bind() + EXECUTE + SYNC, parse(b"UNLISTEN c") + bind() + EXECUTE + SYNC),
    (query(b"BEGIN; LISTEN c; COMMIT"), query(b"DISCARD ALL")),
]


@pytest.mark.parametrize(("message", "back"), LEFT_BEHIND)
def test_what_is_left_behind_keeps_the_server_until_it_is_gone(message: bytes, back: bytes) -> None:
    """Pitfall 34: un-pinned by proof, not by the text that seems to undo it."""
    theatre = Theatre()
    client = theatre.stage.client()
    theatre.hear(client, message)
    assert theatre.holds(client)
    assert sum(theatre.stage.hub.counters.pins.values()) == 1
    theatre.sent = b""
    theatre.hear(client, query(b"SELECT 1"))
    assert theatre.sent == query(b"SELECT 1"), "nothing is asked while nothing can have changed"
    theatre.hear(client, query(b"DROP TABLE IF EXISTS x; DECLARE d CURSOR"))
    assert theatre.holds(client), "the catalogs showed it"
    theatre.hear(client, back)
    assert not theatre.holds(client)


@pytest.mark.parametrize("message", [message for message, _ in LEFT_BEHIND])
def test_who_leaves_with_something_leaves_a_clean_connection(message: bytes) -> None:
    theatre = Theatre()
    client = theatre.stage.client()
    theatre.hear(client, message)
    backend = theatre.holds(client)
    assert backend is not None
    theatre.sent = b""
    client.sends(TERMINATE)
    theatre.play()
    assert theatre.sent == query(b"DISCARD ALL")
    assert backend.session.clean
    assert all(side.idle for side, _ in theatre.servers)


@pytest.mark.parametrize("message", [message for message, _ in LEFT_BEHIND[:4]])
def test_what_a_user_vouches_for_does_not_pin(message: bytes) -> None:
    theatre = Theatre()
    theatre.stage.hub.pinning_filters = frozenset(
        (
            "EXCLUDE_LISTEN",
            "EXCLUDE_TEMPORARY_OBJECTS",
            "EXCLUDE_ADVISORY_LOCKS",
            "EXCLUDE_HOLDABLE_CURSORS",
        )
    )
    client = theatre.stage.client()
    theatre.hear(client, message)
    assert not theatre.holds(client)
    assert not theatre.stage.hub.counters.pins


def test_what_was_rolled_back_is_no_reason() -> None:
    theatre = Theatre()
    client = theatre.stage.client()
    theatre.hear(client, query(b"BEGIN"))
    theatre.hear(client, query(b"CREATE TEMP TABLE t"))
    theatre.hear(client, query(b"ROLLBACK"))
    assert not theatre.holds(client)


def test_a_function_call_that_locks_keeps_the_server() -> None:
    """Pitfall 29: FunctionCall is answered without a Sync."""
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(msg("F", (2880).to_bytes(4, "big") + bytes(8)))
    server.sees()
    server.sends(msg("3"), msg("V"), ready())
    assert b"pg_locks" in server.sees()
    server.sends(found(PinReason.ADVISORY_LOCK))
    assert not server.idle


def test_a_reason_that_came_after_the_question_is_kept() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"LISTEN c"))
    server.sends(DONE, ready())
    client.sends(query(b"CREATE TEMP TABLE t"))
    server.sends(found(PinReason.NONE), DONE, ready())
    assert not server.idle
    server.sends(found(PinReason.TEMPORARY_OBJECT))
    assert server.connection.pins == PinReason.TEMPORARY_OBJECT


def test_a_long_query_is_watched_to_its_end() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    message = query(b"SELECT '" + b"x" * 1_100_000 + b"'; SET x = 1")
    client.sends(message[:1_080_000])
    assert not server.connection.pins
    client.sends(message[1_080_000:-7])
    client.sends(message[-7:])
    assert server.sees() == CLOSE_UNNAMED + message
    server.sends(msg("3"), ANSWER)
    assert b"pg_settings" in server.sees()
    assert not server.idle
    server.sends(found(PinReason.NONE))
    assert server.idle
