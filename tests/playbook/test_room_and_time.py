"""Backpressure, timeouts, draining, and what is counted."""

from sluice_proxy.pool.key import PoolKey
from sluice_proxy.session import client as states
from sluice_proxy.session.pinning import PinReason
from sluice_testing.stage import (
    ANSWER,
    DONE,
    Stage,
    data_row,
    fields,
    found,
    msg,
    query,
    ready,
)

# Room


def test_a_client_that_takes_no_more_stops_its_server() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT 1"))
    client.session.on_blocked()
    assert server.peer.paused
    client.session.on_drained()
    assert not server.peer.paused


def test_a_client_still_full_stops_the_next_server_too() -> None:
    stage = Stage()
    server, client, other = stage.server(), stage.client(), stage.client()
    client.sends(query(b"SELECT 1"))
    server.sends(ANSWER[:-6])
    client.session.on_blocked()
    client.session.server.peer.resume()  # type: ignore[union-attr]
    server.sends(ANSWER[-6:])
    assert not server.peer.paused
    client.sends(query(b"SELECT 2"))
    assert server.peer.paused
    client.session.on_drained()
    assert not server.peer.paused
    server.sends(ANSWER)
    other.sends(query(b"SELECT 3"))
    assert not server.peer.paused


def test_a_server_that_takes_no_more_stops_its_client() -> None:
    stage = Stage()
    server, client, other = stage.server(), stage.client(), stage.client()
    client.sends(query(b"SELECT 1"))
    server.connection.on_blocked()
    assert client.peer.paused
    server.sends(ANSWER)
    assert not client.peer.paused
    other.sends(query(b"SELECT 2"))
    assert other.peer.paused
    server.connection.on_drained()
    assert not other.peer.paused


def test_a_server_whose_full_client_left_is_read_on() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT 1"))
    client.session.on_blocked()
    client.hangs_up()
    server.sends(ANSWER)
    assert server.idle


# Time


def test_the_borrow_timeout_is_told_and_counted() -> None:
    stage = Stage()
    server, busy, client = stage.server(), stage.client(), stage.client()
    busy.sends(query(b"BEGIN"))
    client.sends(query(b"SELECT 1"))
    stage.tick(119)
    assert not client.peer.closed
    stage.tick(1)
    assert fields(client.sees())["M"] == "Timed-out waiting to acquire database connection."
    assert stage.hub.counters.borrow_timeouts == 1
    server.sees()
    server.sends(DONE, ready())
    assert server.sees() == b""


def test_idle_clients_are_told_to_go() -> None:
    stage = Stage()
    stage.hub.idle_client_timeout = 60
    server, idle, busy = stage.server(), stage.client(), stage.client()
    busy.sends(query(b"SELECT slow()"))
    stage.now += 61
    stage.hub.expire_idle_clients()
    assert fields(idle.sees())["C"] == "57P05"
    assert not busy.peer.closed
    server.sends(ANSWER)
    stage.hub.expire_idle_clients()
    assert not busy.peer.closed
    assert stage.hub.counters.idle_client_timeouts == 1


def test_without_clients_no_connection_is_kept() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    stage.tick(100)
    assert server.idle
    client.hangs_up()
    stage.tick(29)
    assert server.idle
    stage.tick(2)
    assert server.peer.closed


def test_draining_ends_nobody_then_the_idle_then_all() -> None:
    stage = Stage()
    server, idle, busy = stage.server(), stage.client(), stage.client()
    busy.sends(query(b"BEGIN"))
    server.sends(DONE, ready("T"))
    busy.sees()
    stage.hub.drain(lame_duck=False)
    stage.tick(60)
    assert not idle.peer.closed
    stage.hub.end_idle_clients(rested=61)
    assert not idle.peer.closed
    stage.hub.end_idle_clients(rested=60)
    assert fields(idle.sees())["C"] == "57P01"
    assert not busy.peer.closed
    server.sees()
    stage.hub.end_all_clients()
    assert fields(busy.sees())["C"] == "57P01"
    assert stage.hub.clients == {}
    assert server.sees() == query(b"ROLLBACK")
    server.sends(DONE, ready())
    stage.tick()
    assert server.peer.closed


def test_who_rests_in_a_pinned_session_is_idle_too() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"LISTEN news"))
    server.sends(msg("C", b"LISTEN\0"), ready())
    client.sees()
    stage.hub.end_idle_clients(rested=0)
    assert not client.peer.closed, "the proxy has still to ask what it left behind"
    server.sends(found(PinReason.LISTEN))
    assert client.session.server is not None
    stage.hub.end_idle_clients(rested=0)
    assert fields(client.sees())["C"] == "57P01"


def test_while_it_drains_a_client_without_a_connection_can_have_one() -> None:
    stage = Stage(limit=3)
    server, client = stage.server(), stage.client()
    stage.hub.drain(lame_duck=False)
    stage.tick(5)
    assert (stage.hub.pools.limit, server.peer.closed) == (1, False)
    client.sends(query(b"BEGIN"))
    stage.tick(5)
    assert stage.hub.pools.limit == 1
    server.sends(DONE, ready("T"))
    client.hangs_up()
    server.sends(DONE, ready())
    stage.tick()
    assert server.peer.closed


def test_a_changed_target_ends_connections_one_by_one() -> None:
    stage = Stage(limit=2)
    idle = stage.server()
    client = stage.client()
    client.sends(query(b"BEGIN"))
    spare = stage.server()
    stage.hub.renew()
    assert spare.peer.closed
    assert not idle.peer.closed
    idle.sends(DONE, ready())
    assert idle.peer.closed
    assert client.session.state == states.IDLE


# Pools and counts


def test_clients_started_with_what_cannot_be_set_later_never_share() -> None:
    stage = Stage(limit=2)
    other_key = PoolKey("app", "shop", ((b"options", b"-c ignore_system_indexes=on"),))
    server, client = stage.server(), stage.client()
    other = stage.newcomer(other_key)
    other_server = stage.server(other_key)
    other_server.sees()
    row = data_row(b"o", b"ignore_system_indexes", b"on")
    other_server.sends(msg("T", b"\0\3"), row, DONE, ready())
    other.sees()
    client.sends(query(b"SELECT 1"))
    other.sends(query(b"SELECT 2"))
    assert server.sees() == query(b"SELECT 1")
    assert other_server.sees() == query(b"SELECT 2")


def test_bytes_and_queries_are_counted_when_their_connection_ends() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT 1"))
    server.sends(ANSWER)
    client.peer.received, server.peer.received = 14, 200
    client.hangs_up()
    server.hangs_up()
    counters = stage.hub.counters
    assert (counters.bytes_from_clients, counters.bytes_from_servers) == (14, 200)
    assert counters.queries == 1
    client.hangs_up()
    assert counters.queries == 1
