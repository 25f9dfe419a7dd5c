"""Conversations that go through the proxy as they go without it.

Each is told to a server of its own and to the proxy, where between two steps the server
changes and others do the like under the same names. What is heard is the same to the byte.
"""

import pytest

from sluice_proxy.pool.key import PoolKey
from sluice_testing.playbook import CONVERSATIONS
from sluice_testing.stage import (
    KEY,
    SYNC,
    ClientSide,
    close,
    parse,
    query,
)
from sluice_testing.theatre import Theatre, direct, reports, said


def neighbour(theatre: Theatre, other: ClientSide) -> None:
    """Does under the same names what it can."""
    theatre.hear(other, close(b"p") + parse(b"SELECT theirs $1", b"p") + SYNC)
    theatre.hear(other, query(b"DEALLOCATE q"))
    theatre.hear(other, query(b"PREPARE q AS SELECT theirs"))
    theatre.hear(other, query(b"SET work_mem theirs; SET TimeZone theirs; SET my.own theirs"))
    theatre.hear(other, query(b"SET role theirs; SELECT nextval('theirs')"))
    theatre.hear(other, parse(b"SELECT theirs") + SYNC)


STARTS: list[tuple[PoolKey, bytes | None]] = [
    (KEY, None),
    (KEY, b"me"),
    (PoolKey("app", "shop", ((b"TimeZone", b"GMT"),)), None),
]


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("start", STARTS, ids=["plain", "named", "zoned"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_nobody_can_tell(name: str, start: tuple[PoolKey, bytes | None], size: int) -> None:
    key, application_name = start
    began = dict(key.parameters)
    if application_name is not None:
        began[b"application_name"] = application_name
    theatre = Theatre(size)
    theatre.stage.hub.pools.set_limit(3)
    client = theatre.stage.newcomer(key, application_name)
    if key.parameters:
        # Nobody knows yet how such a session begins.
        theatre.open(key)
    theatre.play()
    told = reports(client.sees())
    other = theatre.stage.client()
    steps = CONVERSATIONS[name]
    heard: list[object] = []
    for number, step in enumerate(steps):
        theatre.use_only(number % 2)
        neighbour(theatre, other)
        data = theatre.hear(client, step)
        assert b"theirs" not in data
        told |= reports(data)
        told_now = {n: v for n, v in told.items() if n != b"server_version"}
        heard += (said(data), told_now)
    assert heard == direct(began, steps)
