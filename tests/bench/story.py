"""`make bench-story`: thousands of short-lived clients and a server for 500, direct and pooled.

3,000 clients come within 40 seconds, at random as requests do (Poisson). Each logs in over TLS
with SCRAM, reads a row, holds its connection for 10 seconds, as a function does that is frozen
between two calls, in the midst of which every second one reads once more, and leaves. So 750
would be there at once, and the server, with max_connections = 500, has no room for all of them;
through Sluice, which may use 90 % of that, they share a few connections. Both get the same
clients at the same moments. Prints a table, writes build/bench-story.json, ends with 1 where a
goal is missed.

STORY_CLIENTS (3000), STORY_RAMP (40) and STORY_HOLD (10) seconds make it smaller.
"""

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import contenders as who
import psycopg
from goals import Goal
from readings import Strangers, allow_descriptors, cpu, machine, tree_seconds
from story_client import ROWS, Fate, Plan, ask

from sluice_proxy.config import PoolSettings
from sluice_testing.door import Door
from sluice_testing.postgres import APP_DATABASE, APP_USER, Postgres
from sluice_testing.proxy import ProxyProcess
from sluice_testing.rig import ROOT, Rig, rig
from sluice_testing.streams import percentile

CLIENTS = int(os.environ.get("STORY_CLIENTS", "3000"))
RAMP = float(os.environ.get("STORY_RAMP", "40"))
HOLD = float(os.environ.get("STORY_HOLD", "10"))
MAX_CONNECTIONS, PERCENT = 500, 90
WORKERS = 2
SERVER_CONNECTIONS = 100
OVERHEAD_MS = 20.0
TOO_MANY = ("too many clients", "remaining connection slots")
_QUIET = 60  # visits one after the other, with nobody else there
_START = 3.0  # seconds until the workers are up
_LOOK = 0.2


@dataclass(frozen=True)
class Tale:
    """How one way went: seconds of CPU, the most connections that the server had."""

    fates: list[Fate]
    server_connections: int
    server_cpu: float
    proxy_cpu: float
    foreign_cpu: float

    @property
    def errors(self) -> Counter[str]:
        return Counter(fate.error for fate in self.fates if fate.error)


class Watch:
    """The most connections of the clients' role, by a connection that the superuser has kept."""

    def __init__(self, server: Postgres):
        self._dsn = server.superuser_dsn
        self._ended = threading.Event()
        self.most = 0

    @contextlib.contextmanager
    def running(self) -> Iterator["Watch"]:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            thread = threading.Thread(target=self._look, args=(connection,))
            thread.start()
            try:
                yield self
            finally:
                self._ended.set()
                thread.join()

    def _look(self, connection: psycopg.Connection[Any]) -> None:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
        while not self._ended.wait(_LOOK):
            row = connection.execute(asked, (APP_USER,)).fetchone()
            assert row is not None
            self.most = max(self.most, int(row[0]))


def main() -> int:
    began = time.monotonic()
    missing = allow_descriptors(CLIENTS + 500)
    if missing:
        sys.exit(missing)
    state = {**machine(), "code": who.digest(ROOT / "proxy"), "command": _command()}
    with rig(who.MAJOR, max_connections=MAX_CONNECTIONS) as world:
        prepare(world.server)
        document = tell(world)
    state |= {"load_after": os.getloadavg(), "seconds": round(time.monotonic() - began)}
    judged = goals(document)
    document |= {"goals": [goal.document() for goal in judged], "machine": state}
    show(document, judged)
    write(ROOT / "build" / "bench-story.json", document)
    return 0 if all(goal.met for goal in judged) else 1


def _command() -> str:
    return f"make bench-story STORY_CLIENTS={CLIENTS} STORY_RAMP={RAMP:g} STORY_HOLD={HOLD:g}"


def prepare(server: Postgres) -> None:
    server.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, note text)",
        f"INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, {ROWS}) n",
        f"GRANT SELECT ON orders TO {APP_USER}",
        "VACUUM ANALYZE orders",
        database=APP_DATABASE,
    )


def tell(world: Rig) -> dict[str, Any]:
    """Quiet visits first, then the crowd direct, then the crowd through Sluice."""
    config = world.config(pool=PoolSettings(PERCENT))
    with world.proxy(config, judged=False) as proxy:
        direct, pooled = world.door(world.server), world.door(proxy)
        quiet = {
            "warm_direct_query_ms": ranks(warm(direct)),
            "direct": visits(direct),
            "sluice": visits(pooled),
        }
        return {
            "compiled": who.compiled(proxy),
            "clients": {"count": CLIENTS, "ramp_s": RAMP, "hold_s": HOLD, "workers": WORKERS},
            "max_connections": MAX_CONNECTIONS,
            "percent": PERCENT,
            "unloaded": quiet,
            "direct": summary(crowd(world, direct, None)),
            "sluice": summary(crowd(world, pooled, proxy)),
        }


def warm(door: Door) -> list[float]:
    """Seconds of a query on a connection that has been there for long."""
    with door.raw(tls=True) as client:
        return [ask(client, number) for number in range(5 * _QUIET)]


def visits(door: Door) -> dict[str, dict[str, float | None]]:
    """Milliseconds of logins and first queries, one client after the other."""
    context = door.tls_context()
    connect, query = [], []
    for number in range(_QUIET):
        began = time.perf_counter()
        with door.knock() as client:
            client.start_tls(context)
            client.log_in(door.password, user=door.user, database=door.database)
            connect.append(time.perf_counter() - began)
            query.append(ask(client, number))
    both = [sum(pair) for pair in zip(connect, query, strict=True)]
    return {"connect_ms": ranks(connect), "connect_and_query_ms": ranks(both)}


def crowd(world: Rig, door: Door, proxy: ProxyProcess | None) -> Tale:
    postmaster = int(world.server.fetch("SELECT pg_read_file('postmaster.pid')")[0].split()[0])
    with Watch(world.server).running() as watch:
        strangers, server = Strangers(), tree_seconds(postmaster)
        spent = cpu(proxy.pid).total if proxy else 0.0
        fates = come(door)
        return Tale(
            fates,
            watch.most,
            tree_seconds(postmaster) - server,
            cpu(proxy.pid).total - spent if proxy else 0.0,
            strangers.share(),
        )


def come(door: Door) -> list[Fate]:
    """Everybody, in WORKERS processes."""
    begin, arrivals = time.time() + _START, poisson(CLIENTS, RAMP)
    plans = [
        Plan(door.host, door.port, door.ca_file, begin, HOLD, arrivals[part::WORKERS])
        for part in range(WORKERS)
    ]
    program = Path(__file__).with_name("story_client.py")
    workers = [
        subprocess.Popen(
            [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in plans
    ]
    for worker, plan in zip(workers, plans, strict=True):
        assert worker.stdin is not None
        worker.stdin.write(json.dumps(asdict(plan)))
        worker.stdin.close()
    return [fate for worker in workers for fate in _fates(worker)]


def _fates(worker: subprocess.Popen[str]) -> list[Fate]:
    assert worker.stdout is not None
    said = worker.stdout.read()
    if worker.wait():
        raise RuntimeError(f"a process of clients ended with {worker.returncode}")
    return [Fate(**fate) for fate in json.loads(said)]


def poisson(count: int, seconds: float) -> list[float]:
    """So many moments within so many seconds, at random, but the same in each run."""
    dice = random.Random(7)
    return sorted(dice.uniform(0, seconds) for _ in range(count))


def ranks(seconds: Sequence[float]) -> dict[str, float | None]:
    """Milliseconds; nothing of nobody."""
    return {
        f"p{rank}": round(1000 * percentile(seconds, rank), 2) if seconds else None
        for rank in (50, 99)
    }


def summary(tale: Tale) -> dict[str, Any]:
    served = [fate for fate in tale.fates if not fate.error]
    return {
        "clients": len(tale.fates),
        "errors": tale.errors.total(),
        "errors_by_text": dict(tale.errors.most_common(5)),
        "server_connections_max": tale.server_connections,
        "server_cpu_s": round(tale.server_cpu, 2),
        "proxy_cpu_s": round(tale.proxy_cpu, 2),
        "connect_ms": ranks([fate.connect for fate in served]),
        "first_query_ms": ranks([fate.first_query for fate in served]),
        "connect_and_query_ms": ranks([fate.connect + fate.first_query for fate in served]),
        "late_ms": ranks([fate.late for fate in tale.fates]),
        "foreign_cpu": round(tale.foreign_cpu, 3),
    }


def goals(document: dict[str, Any]) -> list[Goal]:
    pooled, warm = document["sluice"], document["unloaded"]["warm_direct_query_ms"]["p50"]
    overhead = (pooled["connect_and_query_ms"]["p50"] or float("inf")) - warm
    refused = document["direct"]["errors_by_text"]
    full = sum(n for text, n in refused.items() if any(words in text for words in TOO_MANY))
    return [
        Goal("errors through Sluice", pooled["errors"], 0),
        Goal("server connections", pooled["server_connections_max"], SERVER_CONNECTIONS),
        Goal("connect + first query p50 over a warm direct query, ms", overhead, OVERHEAD_MS),
        Goal("direct clients that found the server full", full, 1, at_least=True),
    ]


def show(document: dict[str, Any], judged: Sequence[Goal]) -> None:
    sides = [document["direct"], document["sluice"]]
    print(f"{CLIENTS} clients in {RAMP:g} s, each stays {HOLD:g} s; TLS and SCRAM")
    print(f"{'':34}{'direct':>14}{'Sluice':>14}")
    for name in ("errors", "server_connections_max", "server_cpu_s", "proxy_cpu_s", "foreign_cpu"):
        print(f"  {name:32}" + "".join(f"{side[name]:>14}" for side in sides))
    for name in ("connect_ms", "first_query_ms", "connect_and_query_ms", "late_ms"):
        for rank in ("p50", "p99"):
            print(
                f"  {f'{name} {rank}':32}" + "".join(f"{side[name][rank]!s:>14}" for side in sides)
            )
    print(f"  direct errors: {document['direct']['errors_by_text']}")
    print(f"  with nobody else there: {document['unloaded']}")
    for goal in judged:
        print(f"== {goal}")


def write(target: Path, document: dict[str, Any]) -> None:
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(document, indent=2) + "\n")
    print(f"== {target.relative_to(ROOT)} written")


if __name__ == "__main__":
    sys.exit(main())
