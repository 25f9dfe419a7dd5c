"""How clients are greeted, and what they may have sent before."""

from sluice_proxy.errors import ServerRejected
from sluice_proxy.session import client as states
from sluice_testing.stage import (
    ANSWER,
    KEY,
    Stage,
    fields,
    msg,
    query,
    ready,
)


def test_the_first_client_is_greeted_when_a_server_has_told_its_parameters() -> None:
    stage = Stage()
    client = stage.newcomer(application_name=b"me")
    assert client.sees() == b""
    assert client.peer.paused
    server = stage.server()
    greeting = client.sees()
    assert greeting.startswith(msg("R", b"\0\0\0\0"))
    assert b"server_version\x0018.1\0" in greeting
    assert b"application_name\0me\0" in greeting
    assert greeting.endswith(ready())
    assert not client.peer.paused
    assert server.idle, "it was needed for its parameters alone"
    assert server.sees() == b""


def test_later_clients_are_greeted_at_once() -> None:
    stage = Stage()
    stage.server()
    assert stage.client().session.state == states.IDLE


def test_what_comes_ahead_of_the_greeting_waits_for_it() -> None:
    stage = Stage()
    client = stage.newcomer()
    # The transport hands over what it read together with the password.
    client.session.on_bytes(query(b"SELECT 1"))
    assert stage.hub.pools.waiting == 1
    server = stage.server()
    assert client.sees().endswith(ready())
    assert server.sees() == query(b"SELECT 1")
    server.sends(ANSWER)
    assert client.sees() == ANSWER
    assert stage.hub.pools.waiting == 0
    assert server.idle


def test_half_a_message_ahead_of_the_greeting_is_kept() -> None:
    stage = Stage()
    client = stage.newcomer()
    client.session.on_bytes(query(b"SELECT 1")[:7])
    server = stage.server()
    client.sees()
    client.sends(query(b"SELECT 1")[7:])
    assert server.sees() == query(b"SELECT 1")


def test_a_client_that_is_refused_before_its_greeting_is_not_heard_again() -> None:
    stage = Stage()
    stage.hub.pools.borrow_timeout = 0
    stage.newcomer()
    client = stage.newcomer()
    assert fields(client.sees())["C"] == "08000"
    assert client.peer.closed
    client.session.on_bytes(query(b"SELECT 1"))
    assert stage.hub.pools.waiting == 1
    assert len(stage.hub.clients) == 1


def test_a_wrong_password_at_the_server_is_told_instead_of_the_greeting() -> None:
    stage = Stage()
    client = stage.newcomer()
    stage.hub.pools.connect_failed(KEY, ServerRejected("no such role", sqlstate="28000"))
    seen = client.sees()
    assert b"server_version" not in seen
    assert ready() not in seen
    assert fields(seen)["M"] == "no such role"
    assert stage.hub.clients == {}
