"""A primary that became a standby, behind an address that stayed.

Pitfall 55: a demoted primary is connected to again while its Service still points there.
What a server says of itself (`in_hot_standby`, SQLSTATE 25006) shows it.
"""

import pytest

from sluice_proxy.session.hub import DOUBT_EVERY
from sluice_testing.stage import DONE, Stage, error, msg, query, ready


def test_a_login_that_finds_the_writer_ends_connections_to_a_standby() -> None:
    stage = Stage(limit=3)
    idle = stage.server(in_hot_standby=b"on")
    used = stage.server(in_hot_standby=b"on")
    client = stage.client()
    client.sends(query(b"BEGIN"))
    used.sends(DONE, ready("T"))
    writer = stage.server(in_hot_standby=b"off")
    assert idle.peer.closed
    assert not used.peer.closed, "not in a transaction"
    client.sends(query(b"COMMIT"))
    used.sends(DONE, ready())
    assert used.peer.closed
    assert writer.idle


def test_a_standby_that_was_promoted_is_a_writer() -> None:
    """It reports so itself, and stays."""
    stage = Stage(limit=2)
    promoted = stage.server(in_hot_standby=b"on")
    promoted.sends(msg("S", b"in_hot_standby\0off\0"))
    stage.server(in_hot_standby=b"off")
    assert promoted.idle


@pytest.mark.parametrize("standby", [b"on", b"off"])
def test_a_login_on_a_standby_ends_nothing(standby: bytes) -> None:
    """Readers are standbys for good, and a writer that is known is better than none."""
    stage = Stage(limit=2)
    before = stage.server(in_hot_standby=standby)
    after = stage.server(in_hot_standby=b"on")
    assert before.idle
    assert after.idle


def test_a_standby_that_refuses_to_write_is_left() -> None:
    stage = Stage()
    server, client = stage.server(in_hot_standby=b"on"), stage.client()
    client.sends(query(b"INSERT"))
    refusal = error(b"25006")
    server.sends(refusal, ready())
    assert client.sees() == refusal + ready(), "the client is told what the server says"
    assert server.peer.closed
    assert not client.peer.closed


def test_no_herd_of_logins_where_a_standby_is_meant() -> None:
    stage = Stage(limit=2)
    first, second = (stage.server(in_hot_standby=b"on") for _ in range(2))
    client = stage.client()
    client.sends(query(b"INSERT"))
    second.sends(error(b"25006"), ready())
    client.sends(query(b"INSERT"))
    first.sends(error(b"25006"), ready())
    assert (first.peer.closed, second.peer.closed) == (False, True)
    stage.tick(DOUBT_EVERY)
    client.sends(query(b"INSERT"))
    first.sends(error(b"25006"), ready())
    assert first.peer.closed


def test_a_read_only_transaction_on_a_writer_says_nothing_of_the_server() -> None:
    stage = Stage()
    server, client = stage.server(in_hot_standby=b"off"), stage.client()
    client.sends(query(b"INSERT"))
    server.sends(error(b"25006"), ready())
    assert server.idle
