"""CancelRequests: whom they reach, and whom they must not."""

import pytest

from sluice_proxy.session import client as states
from sluice_proxy.session.pinning import PinReason
from sluice_testing.stage import (
    ANSWER,
    DONE,
    EXECUTE,
    SYNC,
    TERMINATE,
    Stage,
    bind,
    data_row,
    error,
    found,
    msg,
    parse,
    query,
    ready,
)


def test_a_cancel_goes_to_the_server_that_works_for_the_client() -> None:
    stage = Stage()
    server, client, other = stage.server(), stage.client(), stage.client()
    client.sends(query(b"SELECT slow()"))
    assert client.cancels(secret=bytes(4)) == ["closed"]
    assert stage.dialler.cancels == []
    client.cancels()
    [(cancelled, done)] = stage.dialler.cancels
    assert cancelled is server.connection
    other.sends(query(b"SELECT 2"))
    server.sees()
    server.sends(error(b"57014"), ready())
    assert not server.idle, "the request may still be on its way"
    assert server.sees() == b""
    done(True)
    assert server.sees() == query(b"SELECT 2")
    assert stage.hub.counters.cancels == 1


def test_a_server_that_a_cancel_may_still_reach_serves_nobody_else() -> None:
    """Pitfall 37."""
    stage = Stage()
    server, client, other = stage.server(), stage.client(), stage.client()
    client.sends(query(b"SELECT slow()"))
    client.cancels()
    other.sends(query(b"SELECT 2"))
    server.sends(ANSWER)
    server.sees()
    stage.dialler.cancels[0][1](False)
    assert server.sees() == TERMINATE
    assert client.session.state == states.IDLE
    server.hangs_up()
    assert stage.server().sees() == query(b"SELECT 2")


def test_a_cancel_in_flight_of_a_client_that_left_is_awaited() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT slow()"))
    client.cancels()
    client.hangs_up()
    server.sends(error(b"57014"), ready())
    assert not server.idle
    stage.dialler.cancels[0][1](True)
    assert server.idle


@pytest.mark.parametrize("left", [False, True])
def test_a_cancel_that_ends_after_its_server_does_nothing(left: bool) -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT slow()"))
    client.cancels()
    if left:
        client.hangs_up()
    server.hangs_up()
    stage.dialler.cancels[0][1](True)
    assert stage.hub.pools.open == 0


@pytest.mark.parametrize("linked", [False, True])
def test_a_cancel_when_nothing_runs_is_nothing(linked: bool) -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    if linked:
        client.sends(query(b"BEGIN"))
        server.sends(DONE, ready("T"))
    client.sees()
    client.cancels()
    assert stage.dialler.cancels == []
    assert client.sees() == b""


WAITING_REQUESTS = [query(b"SELECT 1"), parse(b"SELECT 1") + bind() + EXECUTE + SYNC]


@pytest.mark.parametrize("request_", WAITING_REQUESTS)
def test_a_cancel_of_a_client_that_waits(request_: bytes) -> None:
    stage = Stage()
    server, busy, client = stage.server(), stage.client(), stage.client()
    busy.sends(query(b"BEGIN"))
    client.sends(request_)
    client.cancels()
    seen = client.sees()
    assert b"C57014\0" in seen
    assert seen.endswith(ready())
    assert stage.hub.pools.waiting == 0
    server.sees()
    server.sends(DONE, ready())
    assert server.sees() == b""
    client.sends(query(b"SELECT 2"))
    assert server.sees() == query(b"SELECT 2")


@pytest.mark.parametrize(
    "request_",
    [query(b"SELECT 1") * 2, parse(b"x"), query(b"x" * 1_200_000)[:1_100_000]],
)
def test_a_cancel_that_cannot_be_answered_for_is_nothing(request_: bytes) -> None:
    stage = Stage()
    server, busy, client = stage.server(), stage.client(), stage.client()
    busy.sends(query(b"BEGIN"))
    client.sends(request_)
    client.cancels()
    assert client.sees() == b""
    assert stage.hub.pools.waiting == 1
    server.sees()
    server.sends(DONE, ready())
    assert server.sees().endswith(request_)


NAMED = query(b"SELECT pg_catalog.set_config(E'application_name', E'me', false)")
REPLAYED = msg("T", b"\0\1") + data_row(b"me") + DONE + ready()


def test_a_cancel_waits_while_the_server_works_for_the_proxy() -> None:
    """Pitfall 37: it must hit the client's own query, or nothing."""
    stage = Stage()
    server, client = stage.server(), stage.client(application_name=b"me")
    client.sends(query(b"SELECT slow()"))
    assert server.sees() == NAMED + query(b"SELECT slow()")
    closed = client.cancels()
    assert (stage.dialler.cancels, closed) == ([], [])
    server.sends(REPLAYED)
    [(cancelled, done)] = stage.dialler.cancels
    assert cancelled is server.connection
    assert closed == []
    done(True)
    assert closed == ["closed"]
    server.sends(error(b"57014"), ready())
    assert server.idle


def test_a_cancel_that_came_in_time_for_nothing_is_dropped() -> None:
    """Pitfall 37: what it was meant for is answered when the proxy's own turn is over."""
    stage = Stage()
    server, client = stage.server(), stage.client(application_name=b"me")
    client.sends(query(b"SELECT 1"))
    closed = client.cancels()
    server.sends(REPLAYED + ANSWER)
    assert (stage.dialler.cancels, closed) == ([], ["closed"])
    assert server.idle


def test_a_cancel_while_the_catalogs_are_asked_hits_nobody() -> None:
    """Pitfall 37."""
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"LISTEN c"))
    server.sends(DONE, ready())
    assert b"pg_listening_channels" in server.sees()
    assert client.cancels() == ["closed"]
    assert stage.dialler.cancels == []
    server.sends(found(PinReason.NONE))
    assert server.idle


@pytest.mark.parametrize("goes", ["client", "server"])
def test_a_cancel_that_waits_ends_with_its_client_and_its_server(goes: str) -> None:
    """Pitfall 40."""
    stage = Stage()
    server, client = stage.server(), stage.client(application_name=b"me")
    client.sends(query(b"SELECT slow()"))
    closed = client.cancels()
    if goes == "client":
        client.hangs_up()
    else:
        server.hangs_up()
    assert (stage.dialler.cancels, closed) == ([], ["closed"])
