"""A pod that drains and still lets clients in has room for them, and never more than before."""

import pytest

from sluice_proxy.wire.constants import IDLE
from sluice_testing.stage import ANSWER, Stage, fields, query


def test_who_comes_when_nobody_is_left_gets_a_connection() -> None:
    stage = Stage(limit=5)
    stage.hub.drain(lame_duck=True)
    stage.tick(20)
    assert stage.hub.pools.limit == 1
    client = stage.newcomer()
    stage.server()
    client.sends(query(b"SELECT 1"))
    assert client.session.server is not None
    assert client.session.server.status == IDLE


def test_one_connection_serves_all_who_come() -> None:
    stage = Stage(limit=5)
    server = stage.server()
    stage.hub.drain(lame_duck=True)
    one, other = stage.client(), stage.client()
    for client in (one, other, one):
        client.sends(query(b"SELECT 1"))
        assert server.sees()
        server.sends(ANSWER)
        assert client.sees()
        stage.tick(0.5)
    assert stage.hub.pools.limit == 1
    assert not stage.dialler.attempts


def test_the_limit_does_not_rise_for_who_comes() -> None:
    stage = Stage(limit=0)
    stage.hub.drain(lame_duck=True)
    late = stage.newcomer()
    stage.tick()
    assert stage.hub.pools.limit == 0
    assert fields(late.sees())["C"] == "57P01"


def test_who_is_about_to_log_in_is_kept_room_for() -> None:
    """It came before the door was closed."""
    stage = Stage(limit=5)
    stage.hub.activity.logs_in = lambda: True
    stage.hub.drain(lame_duck=False)
    stage.tick(20)
    assert stage.hub.pools.limit == 1
    stage.hub.activity.logs_in = lambda: False
    stage.tick(1)
    assert stage.hub.pools.limit == 0


@pytest.mark.parametrize("draining", [True, False])
def test_without_clients_nothing_is_kept_open_either(draining: bool) -> None:
    stage = Stage()
    server = stage.server()
    if draining:
        stage.hub.drain(lame_duck=True)
    stage.tick(20)
    assert server.idle
    stage.tick(11)
    assert server.peer.closed


def test_who_logs_in_keeps_the_connections_open() -> None:
    stage = Stage()
    server = stage.server()
    stage.hub.activity.logs_in = lambda: True
    stage.tick(31)
    assert server.idle
