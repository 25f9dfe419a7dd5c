"""Never a byte to the wrong client, in any order of events.

Clients, server connections and cancel requests move in whatever steps chance chooses:
every read may be cut anywhere, anybody may go at any time. Each row, completion and error
carries the tag of the statement that caused it, and a tag names its client. And each client
hears what it would have heard from a server of its own: an answer that is PostgreSQL's in
every byte, parameters and names of prepared statements included.
"""

import re
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from random import Random

import pytest

from sluice_proxy.pool.key import PoolKey
from sluice_proxy.session.statement import PREFIX
from sluice_proxy.session.states import WAITING
from sluice_testing.backend import Backend
from sluice_testing.backend_session import DEFAULTS, REPORTED
from sluice_testing.simulated_scripts import SCRIPTS
from sluice_testing.stage import KEY, PARAMETERS, ClientSide, ServerSide, Stage, msg

_TAG = re.compile(rb"client(\d+)-(\d+)")
# Started with a parameter: such a client parts for connections of its own by a RESET.
ZONED = PoolKey("app", "shop", ((b"TimeZone", b"CET"),))
Message = tuple[str, bytes]


NAMES = (b"p", b"p2", b"other")
SIZES = (1, 3, 7, 20, 10000, 10000)
# How often each step is taken, against the others.
STEPS = {
    "come": 3, "plan": 12, "send": 14, "work": 10, "answer": 14, "go_on": 10, "vanish": 2,
    "hang_up": 2, "connect": 4, "cancel": 1, "cancelled": 2, "wait": 1,
}  # fmt: skip
# What a client is told when its server is gone, or nobody gives it one.
ENDS = (b"C08006\0", b"C08000\0")


def messages_in(data: bytes) -> Iterator[Message]:
    """The whole messages of a stream, each with its type."""
    at = 0
    while at + 5 <= len(data):
        (length,) = struct.unpack_from("!i", data, at + 1)
        if at + 1 + length > len(data):
            return
        yield chr(data[at]), data[at + 5 : at + 1 + length]
        at += 1 + length


class Listener:
    """Reads a stream: what is said, and at each ReadyForQuery which parameters are known.

    But for `late` ones.
    """

    def __init__(self, late: Iterable[bytes]) -> None:
        self._rest = b""
        self._names = [name for name in REPORTED if name not in late]
        self.told = dict(PARAMETERS)

    def hear(self, data: bytes) -> Iterator[tuple[str, object]]:
        self._rest += data
        for kind, body in messages_in(self._rest):
            self._rest = self._rest[5 + len(body) :]
            if kind == "S":
                name, value = body.split(b"\0")[:2]
                self.told[name] = value
            elif kind == "Z":
                yield kind, (body, *(self.told[name] for name in self._names))
            elif kind not in "RK":
                yield kind, body


class Actor:
    """A client with what it still has to send, and what a server of its own says to that."""

    def __init__(self, side: ClientSide, number: int, start: dict[bytes, bytes]) -> None:
        self.side = side
        self.number = number
        self.outgoing = bytearray()
        self.heard = b""
        self.statements = 0
        self.rows = 0
        # The answer is its own alone no more: a request was cancelled while it waited.
        self.cancelled = False
        self.reference = Backend(start)
        # What a RESET leads to is told a moment after its ReadyForQuery.
        self._ear = Listener(start)
        self._told = Listener(start)
        self._expected: deque[tuple[str, object]] = deque()
        self._expect(_reports(self.reference) + msg("Z", b"I"))

    def _expect(self, data: bytes) -> None:
        self._expected += self._told.hear(data)

    @property
    def awaits(self) -> bool:
        return bool(self._expected)

    def plan(self, random: Random) -> None:
        script = SCRIPTS[random.choice(list(SCRIPTS))]
        self.statements += 1
        tag = b"client%d-%d" % (self.number, self.statements)
        made = script(random.choice(NAMES), tag)
        self.outgoing += made
        self.reference.take(made)
        data, self.reference.out = bytes(self.reference.out), bytearray()
        self._expect(data)

    def hear(self) -> None:
        data = self.side.sees()
        assert {int(number) for number, _ in _TAG.findall(data)} <= {self.number}
        for kind, body in self._ear.hear(data):
            self.rows += kind == "D"
            if not self.cancelled:
                self._compare(kind, body)

    def knows_its_parameters(self) -> None:
        assert self._ear.told == self._told.told

    def _compare(self, kind: str, body: object) -> None:
        if isinstance(body, bytes) and b"SFATAL\0" in body and self.side.peer.closed:
            assert any(end in body for end in ENDS) or self._expected[0] == (kind, body)
            return
        assert self._expected, f"nothing was asked for: {kind} {body!r}"
        wanted = self._expected.popleft()
        assert (kind, body) == wanted


def _reports(backend: Backend) -> bytes:
    return b"".join(msg("S", n + b"\0" + v + b"\0") for n, v in backend.told.items())


class Play:
    """Everybody on the stage, moved step by step. `servers` are what the server would count."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.stage = Stage(limit=2)
        self.servers: list[tuple[ServerSide, Backend]] = []
        self.clients: list[Actor] = []
        self.open_server(KEY)

    def open_server(self, key: PoolKey) -> None:
        start = dict(key.parameters)
        parameters = {name.decode(): value for name, value in start.items()}
        # Before anybody is told: the pool may hand the connection over at once.
        backend = Backend(start)
        self.servers.append((self.stage.server(key, **parameters), backend))

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
            name = self.random.choice((None, None, b"c%d" % number))
            key = self.random.choice((KEY, KEY, ZONED))
            start = dict(key.parameters)
            if name is not None:
                start[b"application_name"] = name
            side = self.stage.newcomer(key, application_name=name)
            self.clients.append(Actor(side, number, start))

    def plan(self) -> None:
        actor = self.some_client()
        if actor is not None and not actor.outgoing:
            actor.plan(self.random)

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
        keys = [key for key, delay in self.stage.dialler.attempts if not delay]
        if keys:
            self.open_server(keys[0])

    def cancel(self) -> None:
        actor = self.some_client()
        if actor is not None:
            actor.cancelled |= actor.side.session.state == WAITING
            actor.side.cancels()

    def cancelled(self) -> None:
        cancels = self.stage.dialler.cancels
        if cancels:
            _, done = cancels.pop(self.random.randrange(len(cancels)))
            done(self.random.random() < 0.7)

    def wait(self) -> None:
        self.stage.tick(self.random.choice((0.1, 1.5, 4.0)))

    def check(self) -> None:
        for actor in self.clients:
            actor.hear()
        self.a_free_connection_is_known()
        self.the_counters_are_right()

    def a_free_connection_is_known(self) -> None:
        """It owes nothing, holds nothing, and its parameters are what the proxy takes them for."""
        for side, backend in self.servers:
            if side.idle:
                backend.take(side.sees())
                assert not backend.out
                assert backend.rests
                assert backend.session.clean
                assert set_in(backend) == known_of(side)
                taken = {b"", *side.connection.session.taken}
                names = {name for name in backend.session.statements if PREFIX not in name}
                assert names <= taken

    def the_counters_are_right(self) -> None:
        pools = self.stage.hub.pools
        assert pools.open == len(self.servers) + len(self.stage.dialler.attempts)
        assert pools.open <= 2
        assert pools.waiting == sum(pool.waiters.count for pool in pools)
        assert set(self.stage.hub.servers) == {side.connection for side, _ in self.servers}
        assert set(self.stage.hub.clients.values()) == {a.side.session for a in self.here}

    def settle(self) -> None:
        """Whoever holds a connection hears all that it asked for."""
        for _ in range(200):
            self.stage.now += 0.001
            self.connect()
            while self.stage.dialler.cancels:
                self.cancelled()
            for actor in self.here:
                if actor.outgoing and not actor.side.peer.paused:
                    data, actor.outgoing = bytes(actor.outgoing), bytearray()
                    actor.side.sends(data)
            for pair in list(self.servers):
                self.finish(*pair)
            self.check()
        for actor in self.here:
            linked = actor.side.session.server is not None
            if linked and not actor.cancelled:
                assert not actor.awaits, f"client {actor.number} waits for an answer"
                actor.knows_its_parameters()

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


def set_in(backend: Backend) -> dict[bytes, bytes]:
    """What differs from a fresh session of this connection."""
    session = backend.session
    fresh = {**DEFAULTS, **session.start}
    return {name: v for name, v in session.lasting.settings.items() if v != fresh.get(name, b"")}


def known_of(side: ServerSide) -> dict[bytes, bytes]:
    """The same, as the proxy has it; an application's own parameter is never unset again."""
    return {name: v for name, v in side.connection.session.settings.values.items() if v}


@pytest.mark.parametrize("seed", range(80))
def test_any_order_of_events(seed: int) -> None:
    play = Play(seed)
    for _ in range(1000):
        play.step()
    play.settle()
    play.end()
    assert sum(actor.rows for actor in play.clients) > 2, "something went on"
