"""The common path leaves everything as the general path leaves it, to the last field.

The same conversations twice: whole messages in one read each, of which the common path takes what
is plain; and cut, so that it takes none. After each step all that clients heard and servers
were sent is equal, and so is what is kept of every session.
"""

import random
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from sluice_proxy.session import common, statement
from sluice_proxy.session.client import ClientSession
from sluice_proxy.session.pinning import NOTHING
from sluice_proxy.session.server import ServerConnection
from sluice_proxy.session.states import IDLE
from sluice_proxy.wire.expected import _PLAIN, ExpectedReplies
from sluice_testing.playbook import CONVERSATIONS
from sluice_testing.stage import (
    CLOSE_UNNAMED,
    DONE,
    SYNC,
    ClientSide,
    Stage,
    bind,
    data_row,
    describe,
    execute,
    msg,
    parse,
    query,
    ready,
)
from sluice_testing.theatre import Theatre

PORTAL = describe(what=b"P")
PLAIN = [
    query(b"SELECT 1"),
    query(b"SELECT 12345"),
    query(b"SELECT 1; SELECT 2"),
    query(b""),
    query(b"BEGIN"),
    query(b"COMMIT"),
    query(b"ROLLBACK"),
    query(b"missing"),
    parse(b"SELECT 1") + bind() + execute() + SYNC,
    parse(b"SELECT $1") + bind(b"", b"7") + PORTAL + execute() + SYNC,
    parse(b"missing") + bind() + PORTAL + execute() + SYNC,
    # Of named statements, which some of the steps below make.
    bind(b"p", b"1") + execute() + SYNC,
    bind(b"p", b"2") + PORTAL + execute() + SYNC,
    bind(b"l") + PORTAL + execute() + SYNC,
]
STEPS = [step for steps in CONVERSATIONS.values() for step in steps]
# Differ in any two theatres, or say by which way a session came here.
UNLIKE = {
    "keeper", "last_client", "last_pid", "login", "number", "peer", "pid", "plan", "secret",
    "key", "queries", "bound", "_entries", "_parses", "_plain", "_plain_parse",
    "_queue", "slot_foreign", "stretch", "bare", "are_bare", "has_no_unnamed", "plain_queries",
}  # fmt: skip
KEPT = (
    "framer", "requests", "settings", "unnamed", "told", "expected", "session", "answers",
    "prepared", "statements", "client", "server",
)  # fmt: skip


def facts(thing: Any) -> Iterator[tuple[str, Any]]:
    """What is kept of a client or a server connection, and of what belongs to it alone."""
    if isinstance(thing, ExpectedReplies):
        # Those of a plain request are only made if anybody looks.
        yield "_queue", [*thing._entries, *_PLAIN.get(thing._plain, ())]
        yield "_parses", [*thing._parses, *filter(None, [thing._plain_parse])]
    for name in dir(thing):
        if name.startswith("__") or name in UNLIKE or name in ("_lobby", "_login", "_start"):
            continue
        try:
            value = getattr(thing, name)
        except AttributeError:
            continue
        if callable(value):
            continue
        if isinstance(value, ClientSession | ServerConnection):
            yield name, type(value).__name__
        elif name in KEPT and type(value).__module__.startswith("sluice_proxy."):
            yield from ((f"{name}.{inner}", fact) for inner, fact in facts(value))
        else:
            yield name, simple(value)


def simple(value: Any) -> Any:
    if isinstance(value, deque | list | tuple):
        return [simple(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(map(simple, value), key=repr)
    if isinstance(value, dict):
        return [(simple(key), simple(one)) for key, one in value.items()]
    if type(value).__module__.startswith("sluice_proxy."):
        return getattr(value, "name", None) or type(value).__name__
    return repr(value)


class Play:
    """A theatre with two clients, of whom each says the same as in the other theatre."""

    def __init__(self, cut: bool) -> None:
        self.cut = cut
        self.theatre = Theatre(3 if cut else 1 << 20)
        self.clients = [self.theatre.stage.client() for _ in range(2)]
        self.heard = [b"", b""]
        self.common = 0

    def step(self, who: int, data: bytes) -> None:
        client = self.clients[who]
        if client.peer.closed or client.peer.paused:
            return
        if self.cut:
            client.sends(data[:1])
            data = data[1:]
        client.sends(data)
        server = client.session.server
        self.common += server is not None and server.plan >= 0
        self.theatre.play()
        self.heard[who] += client.sees()

    @property
    def state(self) -> list[dict[str, Any]]:
        everybody = [client.session for client in self.clients]
        servers = [side.connection for side, _ in self.theatre.servers]
        kept = [dict(facts(one)) for one in (*everybody, *servers)]
        by_number = {one.number: at for at, one in enumerate(everybody)}
        by_pid = {one.pid: at for at, one in enumerate(everybody)}
        held = [(by_number.get(one.last_client), by_pid.get(one.last_pid)) for one in servers]
        asked = [one.queries for one in everybody]
        return [*kept, {"held last by": held, "asked": asked}]


def differences(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[Any]:
    return [
        (number, name, one.get(name), other.get(name))
        for number, (one, other) in enumerate(zip(some, others, strict=True))
        for name in one.keys() | other.keys()
        if one.get(name) != other.get(name)
    ]


OURS = re.compile(statement.PREFIX + rb"\d+")


@dataclass
class Record:
    """What was heard, sent and kept after each step, names of statements by their order."""

    names: dict[bytes, bytes] = field(default_factory=dict)
    steps: list[tuple[list[bytes], bytes, list[dict[str, Any]]]] = field(default_factory=list)

    def named(self, data: bytes) -> bytes:
        return OURS.sub(lambda m: self.names.setdefault(m[0], b"s%d" % len(self.names)), data)

    def take(self, play: Play) -> None:
        heard, sent = [self.named(data) for data in play.heard], self.named(play.theatre.sent)
        # A named statement on the common path leaves to later what another's unnamed one is.
        sent = sent.replace(CLOSE_UNNAMED, b"")
        kept = [
            {name: self.named(repr(value).encode()) for name, value in facts.items()}
            for facts in play.state
        ]
        self.steps.append((heard, sent, kept))


def record(script: list[tuple[int, bytes]], cut: bool) -> tuple[Record, int]:
    # What another has prepared is not to be known here.
    statement._known.clear()
    statement._numbers = count(100_000)
    play, made = Play(cut), Record()
    for who, data in script:
        play.step(who, data)
        made.take(play)
    return made, play.common


@pytest.mark.parametrize("seed", range(60))
def test_both_ways_leave_the_same(seed: int) -> None:
    dice = random.Random(seed)
    script = [
        (dice.randrange(2), dice.choice(PLAIN if dice.random() < 0.7 else STEPS)) for _ in range(60)
    ]
    cut, taken = record(script, cut=True)
    assert taken == 0
    whole, taken = record(script, cut=False)
    # Who asks for sequences takes the general path on this pool from then on.
    assert taken > 0 or any(b"lastval" in data for _, data in script)
    for number, (one, other) in enumerate(zip(whole.steps, cut.steps, strict=True)):
        told = (number, script[number])
        assert (told, one[:2]) == (told, other[:2])
        assert (told, differences(one[2], other[2])) == (told, [])


def linked(plan: bytes) -> tuple[Stage, ClientSide, Any]:
    """A client whose plain request is under way."""
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(plan)
    assert server.connection.plan >= 0
    server.sees()
    return stage, client, server


Q = query(b"SELECT 1")
E = parse(b"SELECT 1") + bind() + PORTAL + execute() + SYNC
ROWS = msg("T", b"\0\0") + data_row(b"1")
HEAD = msg("1") + msg("2") + ROWS


def test_what_comes_amid_a_plain_request_goes_the_general_way() -> None:
    stage, client, server = linked(Q)
    client.sends(Q)
    server.sends(ROWS + DONE + ready(), ROWS + DONE + ready())
    assert client.sees() == 2 * (ROWS + DONE + ready())
    assert client.session.state == IDLE
    assert server.idle
    assert stage.hub.counters.queries + client.session.queries == 2


def test_a_transaction_of_plain_requests_takes_the_common_path_all_along() -> None:
    _, client, server = linked(query(b"BEGIN"))
    server.sends(DONE + ready("T"))
    for asked, answer in ((Q, DONE + ready("T")), (E, HEAD + DONE + ready("T"))):
        client.sends(asked)
        assert server.connection.plan >= 0
        server.sends(answer)
    client.sends(query(b"COMMIT"))
    server.sends(DONE + ready())
    assert client.session.state == IDLE
    assert server.idle


@pytest.mark.parametrize(
    ("text", "common_path"),
    [(b"SELECT 1", True), (b"SELECT set_config('a.b', 'c', false)", False), (b"LISTEN a", False)],
)
def test_a_named_statement_that_leaves_something_goes_the_general_way(
    text: bytes, common_path: bool
) -> None:
    _, client, server = linked(Q)
    server.sends(ROWS + DONE + ready())
    client.sends(parse(text, b"s") + SYNC)
    server.sends(*[msg("3")] * server.sees().count(b"C\0"), msg("1"), ready())
    client.sends(bind(b"s") + execute() + SYNC)
    assert (server.connection.plan >= 0) is common_path


def test_who_waits_goes_it_too() -> None:
    stage, _, server = linked(Q)
    other = stage.client()
    other.sends(E)
    server.sends(DONE + ready())
    assert server.connection.plan == common.plan_of(E)
    assert server.sees() == E
    server.sends(HEAD + DONE + ready())
    assert other.sees() == HEAD + DONE + ready()
    assert other.session.unnamed == parse(b"SELECT 1")


def test_what_is_not_plain_is_to_be_put_away() -> None:
    _, client, server = linked(Q)
    server.sends(ROWS + DONE + ready())
    assert client.session.bare
    assert server.connection.bare
    client.sends(query(b"BEGIN"))
    server.sends(DONE + ready("T"))
    assert client.session.bare
    client.sends(query(b"SET LOCAL a.b = 1"))
    assert not client.session.bare
    server.sends(DONE + ready("T"))
    assert not server.connection.bare
    client.sends(query(b"COMMIT"))
    server.sends(DONE + ready())
    assert client.session.bare
    assert server.connection.bare


def test_a_query_drops_the_unnamed_statement_and_what_it_does() -> None:
    _, client, server = linked(Q)
    server.sends(ROWS + DONE + ready())
    client.sends(parse(b"SET a.b = 1") + SYNC)
    server.sends(msg("1"), ready())
    assert not client.session.bare
    client.sends(Q)
    server.sends(ROWS + DONE + ready())
    assert client.session.requests.prepared._unnamed == (NOTHING, None)
    assert client.session.bare


def test_of_a_named_statement_that_went_the_general_way_nothing_is_kept() -> None:
    stage, client, server = linked(Q)
    other = stage.client()
    server.sends(ROWS + DONE + ready())
    other.sends(parse(b"SELECT 1", b"s") + SYNC)
    server.sends(*[msg("3")] * server.sees().count(b"C\0"), msg("1"), ready())
    client.sends(Q)
    other.sends(bind(b"s") + execute() + SYNC)
    server.connection.session.prepared.clear()
    server.sees()
    server.sends(ROWS + DONE + ready())
    sent = server.sees()
    assert b"SELECT 1" in sent, "it is put before"
    server.sends(*[msg("3")] * sent.count(b"C\0"), msg("1"), msg("2"), DONE, ready())
    assert other.session.state == IDLE
    assert other.session.requests.prepared.bound._statement is None
    client.sends(Q)
    other.sends(bind(b"s") + execute() + SYNC)
    assert other.session.cancel_wait()
    server.sends(ROWS + DONE + ready())
    other.sends(Q)
    server.sends(ROWS + DONE + ready())
    assert other.session.requests.prepared.bound._statement is None
