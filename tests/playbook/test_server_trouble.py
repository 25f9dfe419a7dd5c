"""Servers that go, that talk nonsense, and what goes wrong inside."""

import pytest

from sluice_proxy.errors import ServerRejected, ServerUnavailable
from sluice_testing.stage import (
    ANSWER,
    DONE,
    KEY,
    TERMINATE,
    Stage,
    error,
    fields,
    msg,
    query,
    ready,
)

# Servers that fail


class TestWhoAsksWhetherItIsStillThere:
    """`on_lost` hears of what ended, and whether a client had used it."""

    @staticmethod
    def heard(stage: Stage) -> list[bool]:
        heard: list[bool] = []
        stage.hub.on_lost = heard.append
        return heard

    @pytest.mark.parametrize("used", [True, False])
    @pytest.mark.parametrize("farewell", [b"", error(b"57P01", b"FATAL")])
    def test_an_idle_connection_ends(self, farewell: bytes, used: bool) -> None:
        stage = Stage()
        heard = self.heard(stage)
        server = stage.server()
        if used:
            stage.client().sends(query(b"SELECT 1"))
            server.sends(ANSWER)
        if farewell:
            server.sends(farewell)
        server.hangs_up()
        assert heard == [used]

    def test_one_that_a_client_holds_ends(self) -> None:
        stage = Stage()
        heard = self.heard(stage)
        server, client = stage.server(), stage.client()
        client.sends(query(b"BEGIN"))
        server.sends(DONE, ready("T"), error(b"57P01", b"FATAL"))
        server.hangs_up()
        assert heard == [True]

    def test_what_the_proxy_closes_itself_is_no_loss(self) -> None:
        stage = Stage()
        heard = self.heard(stage)
        server = stage.server()
        stage.hub.renew()
        server.hangs_up()
        assert heard == []

    def test_nobody_logs_in_to_ask_while_the_proxy_drains(self) -> None:
        stage = Stage(limit=5)
        client, server = stage.newcomer(), stage.server()
        stage.hub.drain(lame_duck=False)
        server.hangs_up()
        client.hangs_up()
        assert not stage.hub.pools.reserve(KEY)


class TestWhoHoldsConnections:
    def test_a_role_does_until_its_last_one_is_to_end(self) -> None:
        stage = Stage()
        server = stage.server()
        assert stage.hub.holds(KEY.user)
        assert not stage.hub.holds("another")
        stage.hub.renew()
        assert not stage.hub.holds(KEY.user)
        server.hangs_up()
        assert not stage.hub.holds(KEY.user)


def test_an_idle_server_that_goes_is_forgotten() -> None:
    stage = Stage()
    server = stage.server()
    server.hangs_up()
    assert stage.hub.pools.open == 0
    assert stage.hub.servers == set()


def test_a_server_that_goes_under_a_client_ends_it() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"BEGIN"))
    server.sends(DONE, ready("T"))
    client.sends(query(b"SELECT 1"))
    client.sees()
    server.hangs_up()
    assert fields(client.sees())["C"] == "08006"
    assert client.peer.closed
    assert stage.hub.pools.open == 0


def test_a_server_that_says_why_it_goes_is_quoted_once() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT 1"))
    last_words = error(b"57P01", b"FATAL")
    server.sends(last_words)
    server.hangs_up()
    assert client.sees() == last_words
    assert client.peer.closed


def test_a_text_that_reads_like_a_farewell_is_none() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT 1"))
    server.sends(msg("E", b"SERROR\0VERROR\0C22000\0MxVFATAL\0\0"), ready("I"))
    client.sends(query(b"SELECT 1"))
    client.sees()
    server.hangs_up()
    assert fields(client.sees())["C"] == "08006"


@pytest.mark.parametrize(
    "sent",
    [
        ready(),
        msg("D", b"\0\0"),
        msg("T", b"\0\0"),
        error(b"57P01", b"FATAL"),
        msg("A", bytes(4) + b"c\0\0"),
        msg("N", b"SNOTICE\0\0") + msg("D", b"\0\0"),
        msg("S", b"a\0b\0") + ready(),
        b"garbage",
    ],
)
def test_an_idle_server_that_says_what_nobody_asked_for_is_closed(sent: bytes) -> None:
    """Pitfall 9."""
    stage = Stage()
    server, client = stage.server(), stage.client()
    server.sends(sent)
    assert server.peer.closed
    assert not server.idle
    client.sends(query(b"SELECT 1"))
    assert server.sees() == TERMINATE
    assert client.sees() == b""


@pytest.mark.parametrize("sent", [msg("N", b"SNOTICE\0\0"), msg("S", b"a\0b\0")])
def test_an_idle_server_may_tell_news_in_any_pieces(sent: bytes) -> None:
    stage = Stage()
    server = stage.server()
    for at in range(len(sent)):
        server.sends(sent[at : at + 1])
    assert server.idle


def test_what_is_good_before_nonsense_is_the_clients() -> None:
    """What is told behind it never stands within a message."""
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT 1"))
    row = msg("D", bytes(100_000))
    server.sends(row[:50_000])
    server.sends(row[50_000:] + b"\1\0\0\0\4")
    said = client.sees()
    assert said.startswith(row)
    assert fields(said[len(row) :])["C"] == "08006"
    assert client.peer.closed
    assert server.peer.closed


def test_half_of_what_came_before_the_client_is_not_for_it() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    notice = msg("N", b"SNOTICE\0Mlong\0\0")
    server.sends(notice[:12])
    client.sends(query(b"SELECT 1"))
    server.sends(notice[12:15])
    server.sends(notice[15:] + ANSWER)
    assert client.sees() == ANSWER
    assert server.idle


def test_garbage_under_a_client_ends_both() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT 1"))
    server.sends(b"\0garbage")
    assert fields(client.sees())["C"] == "08006"
    assert server.peer.closed
    server.hangs_up()
    assert stage.hub.pools.open == 0


def test_who_waits_is_served_by_the_connection_that_replaces_a_lost_one() -> None:
    stage = Stage()
    server, busy, waiting = stage.server(), stage.client(), stage.client()
    busy.sends(query(b"SELECT 1"))
    waiting.sends(query(b"SELECT 2"))
    server.hangs_up()
    assert len(stage.dialler.attempts) == 1
    assert stage.server().sees() == query(b"SELECT 2")


def test_a_failure_that_passes_is_waited_for_and_one_that_does_not_is_told() -> None:
    stage = Stage()
    stage.server().hangs_up()
    client = stage.client()
    client.sends(query(b"SELECT 1"))
    stage.hub.pools.connect_failed(KEY, ServerUnavailable("starting"))
    assert client.sees() == b""
    stage.hub.pools.connect_failed(KEY, ServerRejected("gone", sqlstate="3D000"))
    assert fields(client.sees())["C"] == "3D000"
    assert client.peer.closed


# What goes wrong inside


def test_a_client_that_cannot_be_dealt_with_takes_its_server_with_it() -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT 1"))
    client.session.on_broken()
    assert client.peer.closed
    assert server.peer.closed
    client.hangs_up()
    server.hangs_up()
    assert (stage.hub.pools.open, len(stage.hub.clients)) == (0, 0)


@pytest.mark.parametrize("busy", [True, False])
def test_a_server_that_cannot_be_dealt_with_takes_its_client_with_it(busy: bool) -> None:
    """Pitfall 10: whatever fails amid a read, nobody gets the connection after that."""
    stage = Stage()
    server, client = stage.server(), stage.client()
    if busy:
        client.sends(query(b"SELECT 1"))
    server.connection.on_broken()
    assert server.peer.closed
    assert client.peer.closed is busy
    server.hangs_up()
    assert stage.hub.pools.open == 0
