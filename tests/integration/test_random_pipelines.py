"""Random scripts, told to PostgreSQL and to the proxy: the answers are equal to the byte.

Each message is well formed; their order is whatever the dice say, so most scripts are full
of errors, skipped messages, aborted transactions and COPY at the wrong moment.
`SLUICE_RANDOM_SCRIPTS` (default 300) is how many, `SLUICE_RANDOM_SEED` which.
"""

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess
from sluice_testing.raw import (
    COPY_DONE,
    FLUSH,
    SYNC,
    Message,
    RawClient,
    bind,
    close,
    copy_data,
    copy_fail,
    describe,
    execute,
    function_call,
    parse,
    query,
)
from sluice_testing.stories import comparable, pieces

SCRIPTS = int(os.environ.get("SLUICE_RANDOM_SCRIPTS", "300"))
SEED = int(os.environ.get("SLUICE_RANDOM_SEED", "1"))
END = SYNC + COPY_DONE + SYNC + query("ROLLBACK") + query("SELECT 'the very end'")

# Common ones stand several times.
COMMON = {
    "Sync": SYNC,
    "one round": parse("SELECT 1") + bind() + execute() + SYNC,
    "one without Sync": parse("SELECT 2") + bind() + execute(),
    "query": query("SELECT 3"),
    "begin": query("BEGIN"),
    "end": query("COMMIT"),
    "roll back": query("ROLLBACK"),
    "bind unnamed": bind() + execute(),
    "parse unnamed": parse("SELECT 'unnamed'"),
}
RARE = {
    "error": query("SELECT 1/0"),
    "several": query("SELECT 4; SELECT 5; SELECT 1/0; SELECT 6"),
    "empty": query(""),
    "bad parse": parse("SELECT nothing"),
    "bad execute": parse("SELECT 1/0") + bind() + execute(),
    "too many parameters": bind("x"),
    "parse with a parameter": parse("SELECT $1::int", types=(23,)),
    "begin, extended": parse("BEGIN") + bind() + execute(),
    "commit, extended": parse("COMMIT") + bind() + execute(),
    "roll back, extended": parse("ROLLBACK") + bind() + execute(),
    "commit and chain": query("COMMIT AND CHAIN"),
    "savepoint": query("SAVEPOINT s"),
    "back to savepoint": query("ROLLBACK TO s"),
    "named parse": parse("SELECT 'named'", "n"),
    "named bind": bind(name="n") + execute(),
    "named close": close("S", "n"),
    "named describe": describe("S", "n"),
    "deallocate": query("DEALLOCATE ALL"),
    "portal": parse("SELECT * FROM generate_series(1, 5)") + bind(portal="p"),
    "some of the portal": execute("p", 2),
    "portal described": describe("P", "p"),
    "portal closed": close("P", "p"),
    "rows of the unnamed portal": execute("", 1),
    "describe": describe("S"),
    "close unnamed": close("S"),
    "Flush": FLUSH,
    "copy in": query("COPY numbers FROM STDIN"),
    "copy in, extended": parse("COPY numbers FROM STDIN") + bind() + execute(),
    "copy out": query("COPY (VALUES (1), (2)) TO STDOUT"),
    "copy out, extended": parse("COPY (VALUES (1)) TO STDOUT") + bind() + execute(),
    "copy data": copy_data(b"1\n"),
    "bad copy data": copy_data(b"x\n"),
    "copy done": COPY_DONE,
    "copy fail": copy_fail("no more"),
    "function": function_call(177, b"\0\0\0\1", b"\0\0\0\2"),
    "bad function": function_call(154, b"\0\0\0\1", b"\0\0\0\0"),
    "set": query("SET work_mem = '99kB'"),
    "show": query("SHOW work_mem"),
    "set local": query("SET LOCAL work_mem = '77kB'"),
    "notice": query("DO $$BEGIN RAISE NOTICE 'n'; END$$"),
    "long answer": query("SELECT repeat('x', 20000)"),
    "long question": query(f"SELECT length('{'y' * 20000}')"),
}
NAMES = [*(list(COMMON) * 5), *RARE]
MESSAGES = {**COMMON, **RARE}


def script(dice: random.Random) -> list[str]:
    return dice.choices(NAMES, k=dice.randint(1, 14))


def answers(door: Door, names: list[str], cut: int) -> list[Message]:
    """Everything up to the end of the script, or of the connection."""
    got: list[Message] = []
    with door.raw() as client:
        with suppress(ConnectionError):  # a FATAL error may be waiting to be read
            for piece in pieces(b"".join(MESSAGES[name] for name in names) + END, cut):
                client.send(piece)
        while True:
            try:
                got.append(comparable(client.read()))
            except ConnectionError:
                return [*got, Message("closed", b"")]
            if got[-1].kind == "Z" and any(b"the very end" in message.body for message in got[-3:]):
                return got


@contextmanager
def noise(door: Door) -> Iterator[None]:
    """Two others use the server connections all the while, and leave their statements there."""
    stop = threading.Event()

    def work(client: RawClient) -> None:
        while not stop.is_set():
            client.ask(parse("SELECT 'noise'") + bind() + execute() + SYNC)
            client.ask(query("BEGIN"))
            client.ask(query("ROLLBACK"))

    with door.crowd(2) as crowd:
        threads = [threading.Thread(target=work, args=(client,)) for client in crowd]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()


@pytest.fixture
def proxy(server: Postgres, make_config: MakeConfig, start_proxy: StartProxy) -> ProxyProcess:
    return start_proxy(make_config(server, budget=3))


def test_random_scripts(door: Door, server: Postgres, door_of: DoorOf) -> None:
    server.execute(
        "DROP TABLE IF EXISTS numbers",
        "CREATE TABLE numbers (n int)",
        "GRANT ALL ON numbers TO app",
        database="app",
    )
    dice = random.Random(SEED)
    direct = door_of(server)
    with noise(door):
        for number in range(SCRIPTS):
            names, cut = script(dice), dice.choice([0, 0, 0, 1, 5, 100])
            wanted, got = answers(direct, names, cut), answers(door, names, cut)
            assert agree(wanted, got), f"script {number}, cut {cut}: {names}\n{wanted}\n{got}"


def agree(wanted: list[Message], got: list[Message]) -> bool:
    """Equal; or PostgreSQL itself hung up, and what came before that is equal.

    It hangs up on unread messages ("protocol synchronization was lost"), so that TCP may
    destroy its last words on their way.
    """
    if wanted[-1].kind != "closed":
        return got == wanted
    said = [m for m in got[:-1] if m.kind != "E" or m.fields["S"] != "FATAL"]
    return got[-1].kind == "closed" and said == wanted[: len(said)]
