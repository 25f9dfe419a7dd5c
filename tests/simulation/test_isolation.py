"""Never a byte to the wrong client, in any order of events.

Clients, server connections and cancel requests move in whatever steps chance chooses:
every read may be cut anywhere, anybody may go at any time. Each row, completion and error
carries the tag of the statement that caused it, and a tag names its client.
"""

import re
import struct
from collections.abc import Iterator
from random import Random

import pytest

from sluice_testing.backend import Backend
from sluice_testing.stage import (
    CLOSE_UNNAMED,
    EXECUTE,
    SYNC,
    TERMINATE,
    ClientSide,
    ServerSide,
    Stage,
    bind,
    msg,
    parse,
    query,
)

_TAG = re.compile(rb"client(\d+)-(\d+)")


class Actor:
    """A client with what it still has to send and all that it was sent."""

    def __init__(self, side: ClientSide, number: int) -> None:
        self.side = side
        self.number = number
        self.outgoing = bytearray()
        self.heard = b""
        # ReadyForQuery messages that it may hear: its greeting's, then one for each request.
        self.may_hear = 1
        self.statements = 0

    def tag(self) -> bytes:
        self.statements += 1
        return b"client%d-%d" % (self.number, self.statements)

    def script(self, name: str) -> bytes:
        select, tag = b"SELECT " + self.tag(), self.tag()
        run = bind() + EXECUTE + SYNC
        return {
            "query": query(select),
            "failing query": query(b"oops " + tag),
            "two queries": query(select) + query(b"oops " + tag),
            "begin": query(b"BEGIN " + tag),
            "commit": query(b"COMMIT " + tag),
            "extended": parse(select) + run,
            "parse now": parse(select) + SYNC,
            "bind later": run,
            "parse skipped": bind(b"nowhere") + parse(select) + SYNC + run,
            "query skipped": bind(b"nowhere") + query(select) + SYNC + run,
            "close skipped": bind(b"nowhere") + CLOSE_UNNAMED + SYNC + run,
            "first not read": EXECUTE + parse(select) + SYNC + run,
            "two pipelines": parse(select) + run + parse(b"oops " + tag) + run,
            "begin extended": parse(b"BEGIN " + tag) + run,
            "copy": query(b"copy " + tag) + msg("d", b"x" * 40) + msg("c"),
            "copy that fails": query(b"oops " + tag) + msg("d", b"x" * 40) + msg("c"),
            "copy given up": query(b"copy " + tag) + msg("d", b"x") + msg("f", b"\0"),
            "copy extended": parse(b"copy " + tag) + bind() + EXECUTE + msg("c") + SYNC,
            "copy with syncs": parse(b"copy " + tag) + run + msg("d", b"x") + msg("c") + SYNC,
            "copy to a view": parse(b"view " + tag) + run + msg("d", b"x") + msg("c") + SYNC,
            "unfinished": parse(select) + bind() + EXECUTE,
            "flush": parse(select) + bind() + msg("H"),
            "sync": SYNC,
            "pins": parse(select, b"s%d" % self.statements) + SYNC,
            "setting": query(b"SET x " + tag),
            "bye": TERMINATE,
        }[name]


SCRIPTS = [
    "query", "failing query", "two queries", "begin", "commit", "extended", "parse now",
    "bind later", "parse skipped", "query skipped", "close skipped", "first not read",
    "two pipelines", "begin extended", "copy", "copy that fails", "copy given up",
    "copy extended", "copy with syncs", "copy to a view", "unfinished", "flush",
    "sync", "pins", "setting", "bye",
]  # fmt: skip
SIZES = (1, 3, 7, 20, 10000, 10000)
# How often each step is taken, against the others.
STEPS = {
    "come": 3, "plan": 12, "send": 14, "work": 10, "answer": 14, "go_on": 10, "vanish": 4,
    "hang_up": 2, "connect": 4, "cancel": 1, "cancelled": 2, "wait": 1,
}  # fmt: skip


def messages_in(data: bytes) -> Iterator[str]:
    """The types of the whole messages in what a client heard."""
    at = 0
    while at + 5 <= len(data):
        (length,) = struct.unpack_from("!i", data, at + 1)
        if at + 1 + length <= len(data):
            yield chr(data[at])
        at += 1 + length


class Play:
    """Everybody on the stage, moved step by step. `servers` are what the server would count."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.stage = Stage(limit=2)
        self.servers: list[tuple[ServerSide, Backend]] = []
        self.clients: list[Actor] = []
        self.open_server()

    def open_server(self) -> None:
        self.servers.append((self.stage.server(), Backend()))

    @property
    def here(self) -> list[Actor]:
        return [actor for actor in self.clients if not actor.side.peer.closed]

    def step(self) -> None:
        [name] = self.random.choices(list(STEPS), list(STEPS.values()))
        getattr(self, name)()
        self.check()

    def some_client(self) -> Actor | None:
        here = self.here
        return self.random.choice(here) if here else None

    def come(self) -> None:
        if len(self.here) < 4:
            number = len(self.clients) + 1
            name = self.random.choice((None, b"c%d" % number))
            self.clients.append(Actor(self.stage.newcomer(application_name=name), number))

    def plan(self) -> None:
        actor = self.some_client()
        if actor is not None and not actor.outgoing:
            script = self.random.choice(SCRIPTS)
            actor.outgoing += actor.script(script)
            actor.may_hear += sum(kind in "QSF" for kind in messages_in(bytes(actor.outgoing)))

    def send(self) -> None:
        ready = [a for a in self.here if a.outgoing and not a.side.peer.paused]
        if ready:
            actor = self.random.choice(ready)
            size = self.random.choice(SIZES)
            data = bytes(actor.outgoing[:size])
            del actor.outgoing[:size]
            actor.side.sends(data)

    def work(self) -> None:
        """A server reads all that it was sent, and does it."""
        if self.servers:
            side, backend = self.random.choice(self.servers)
            backend.take(side.sees())

    def answer(self) -> None:
        if self.servers:
            side, backend = self.random.choice(self.servers)
            size = self.random.choice(SIZES)
            if backend.out and not side.peer.paused:
                data = bytes(backend.out[:size])
                del backend.out[:size]
                side.sends(data)

    def go_on(self) -> None:
        for _ in range(10):
            self.send()
            self.work()
            self.answer()

    def vanish(self) -> None:
        actor = self.some_client()
        if actor is not None and self.random.random() < 0.3:
            actor.side.hangs_up()

    def hang_up(self) -> None:
        """A server that was told to end does so; now and then another does."""
        told = [(s, b) for s, b in self.servers if s.peer.closed or (b.gone and not b.out)]
        if not told and self.random.random() < 0.1:
            told = self.servers
        if told:
            pair = self.random.choice(told)
            self.servers.remove(pair)
            pair[0].hangs_up()

    def connect(self) -> None:
        if self.stage.dialler.attempts:
            self.open_server()

    def cancel(self) -> None:
        actor = self.some_client()
        if actor is not None:
            actor.side.cancels()

    def cancelled(self) -> None:
        cancels = self.stage.dialler.cancels
        if cancels:
            _, done = cancels.pop(self.random.randrange(len(cancels)))
            done(self.random.random() < 0.7)

    def wait(self) -> None:
        self.stage.tick(self.random.choice((0.1, 1.5, 4.0)))

    def check(self) -> None:
        self.everybody_hears_of_his_own_alone()
        self.a_free_connection_owes_nothing()
        self.the_counters_are_right()

    def everybody_hears_of_his_own_alone(self) -> None:
        for actor in self.clients:
            actor.heard += actor.side.sees()
            assert {int(number) for number, _ in _TAG.findall(actor.heard)} <= {actor.number}
            kinds = list(messages_in(actor.heard))
            assert set(kinds) <= set("RSKZTDCEN123GsnI"), "the stream is no longer in step"
            assert kinds.count("Z") <= actor.may_hear

    def a_free_connection_owes_nothing(self) -> None:
        for side, backend in self.servers:
            if side.idle:
                backend.take(side.sees())
                assert not backend.out
                assert backend.rests

    def the_counters_are_right(self) -> None:
        pools = self.stage.hub.pools
        assert pools.open == len(self.servers) + len(self.stage.dialler.attempts)
        assert pools.open <= 2
        assert pools.waiting == sum(len(pool.waiters) for pool in pools)
        assert set(self.stage.hub.servers) == {side.connection for side, _ in self.servers}
        assert set(self.stage.hub.clients.values()) == {a.side.session for a in self.here}

    def end(self) -> None:
        """When all go that are here, nothing is left and everything is clean."""
        for actor in self.here:
            actor.side.hangs_up()
        for _ in range(12):
            self.stage.tick(1)
            while self.stage.dialler.cancels:
                self.cancelled()
            for pair in list(self.servers):
                self.finish(*pair)
        hub = self.stage.hub
        assert all(side.idle for side, _ in self.servers)
        assert (hub.pools.waiting, hub.pools.closing, len(hub.clients)) == (0, 0, 0)

    def finish(self, side: ServerSide, backend: Backend) -> None:
        backend.take(side.sees())
        while backend.out and not side.peer.closed:
            data, backend.out = bytes(backend.out), bytearray()
            side.sends(data)
            backend.take(side.sees())
        if side.peer.closed or backend.gone:
            self.servers.remove((side, backend))
            side.hangs_up()


@pytest.mark.parametrize("seed", range(30))
def test_any_order_of_events(seed: int) -> None:
    play = Play(seed)
    for _ in range(1000):
        play.step()
    play.end()
    rows = sum(list(messages_in(actor.heard)).count("D") for actor in play.clients)
    assert rows > 2, "something went on"
