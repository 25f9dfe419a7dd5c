"""`make bench`: what a transaction costs the proxy, against PgBouncer and against none.

pgbench's select-only and TPC-B-like scripts; simple, extended and prepared; plain and TLS;
1, 50 and 400 clients; logins over TLS; thousands of clients that rest. The contenders take turns
within one run, since the machine's mood changes: a figure counts only as a ratio to its peer
of the same round. A row is shown as soon as it is measured; build/bench.json and build/bench.png
hold it all. Ends with 1 where a goal is missed or a case fails.

BENCH_SECONDS (2.5) and BENCH_REPEATS (5) of each case, BENCH_CASES, parts of names such as `select`
or `simple/plain/50,connects`, BENCH_CROWD (10000) clients that rest; PGBOUNCER is a path to
another PgBouncer than Debian's.
"""

import contextlib
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import bench_plot
import contenders as who
from cases import Case, Entry, cases, peer_of, wanted
from compare import compare, spread
from contenders import DIRECT, MAX_CONNECTIONS, PGBOUNCER, POOL_SIZE, SLUICE, Contender
from crowd import crowd, descriptors
from goals import CROWD, Goal, goals
from herd import bare
from pgbench import Bench, Sample, environment
from readings import Places, Strangers, machine

from sluice_testing.postgres import APP_DATABASE, APP_USER, Postgres
from sluice_testing.rig import ROOT, Rig, rig

SECONDS = float(os.environ.get("BENCH_SECONDS", "2.5"))
REPEATS = int(os.environ.get("BENCH_REPEATS", "5"))
CHOSEN = os.environ.get("BENCH_CASES", "")
CLIENTS = int(os.environ.get("BENCH_CROWD", str(CROWD)))
TLS_CLIENTS = min(1000, CLIENTS)
# With fewer than clients, they would wait for each other's branch; 400 still do.
SCALE = 50
BUILD = ROOT / "build"
_WIDTH = 28
_UNCLEAN = ("VACUUM pgbench_branches", "VACUUM pgbench_tellers", "TRUNCATE pgbench_history")

FAIRNESS = (
    f"{POOL_SIZE} server connections each, transaction pooling, one process each; SCRAM-SHA-256 on "
    "both sides; no TLS to the server; TCP on 127.0.0.1 everywhere",
    "PgBouncer has the server's SCRAM secret in its auth_file, which spares it the hashing of a "
    "password at each login",
    "no log line per client, statistics that nobody reads: PgBouncer with log_connections, "
    "log_disconnections and log_stats at 0 and stats_period at 3600, Sluice as a pod has it",
    "both proxies are pinned to one and the same CPU; pgbench, PostgreSQL and this program to the "
    "others (with one CPU in all, nobody is); the proxy's CPU is not saturated, so transactions "
    "a second say more of the others than of it",
    "under load Sluice looks for events at intervals of up to 0.3 ms where it has found that this "
    "pays, PgBouncer as soon as there is one: what it costs of latency is in p50 and p99",
    "logins and preparing are not in a transaction's cost: the measured part begins when each "
    "client has had its first transaction, 0.3 s after the first of all at the soonest; it is "
    "cut from pgbench's log of transactions by the moments at which CPU was read",
    "CPU is the scheduler's time on CPU of all threads (schedstat), split in user and system by "
    "ticks",
    "connects: 8 pgbench clients that log in anew for each SELECT, over TLS and SCRAM; pgbench's "
    "own CPU bounds the rate, so what counts is connects per CPU second of the proxy",
    f"TPC-B-like on scale {SCALE}; its small tables are vacuumed before each run; fsync is off; "
    "prepared, pgbench has a thread for each client, since it waits where it prepares",
    "memory: processes started anew, 100 clients before the base is read, then clients that log "
    "in (idle) and run one query each (queried)",
)


def main() -> int:
    began = time.monotonic()
    places = Places.of_this_machine()
    os.sched_setaffinity(0, places.others)
    descriptors(CLIENTS)
    with rig(who.MAJOR, max_connections=MAX_CONNECTIONS, shared_buffers="256MB") as world:
        program = who.find_pgbench()
        prepare(world.server, program)
        results = measure(world, places, Bench(program, SECONDS))
    finish(results, began)
    missed = [goal for goal in results["goals"] if not goal["met"]]
    return 1 if missed or results["failed"] else 0


def prepare(server: Postgres, program: str) -> None:
    command = [
        program, "-i", "-q", "-I", "dtGvp", "-s", str(SCALE), "-h", server.host,
        "-p", str(server.port), "-U", APP_USER, APP_DATABASE,
    ]  # fmt: skip
    subprocess.run(command, env=environment(tls=False), check=True, stderr=subprocess.DEVNULL)


def measure(world: Rig, places: Places, bench: Bench) -> dict[str, Any]:
    binary = who.find_pgbouncer()
    state = {**machine(), "pgbouncer": who.version(binary), "pgbench": _pgbench_version()}
    results: dict[str, Any] = {"cases": {}, "failed": {}, "memory": {}, "machine": state}
    chosen = [case for case in cases() if wanted(case.name, CHOSEN)]
    with field(world, places, binary) as contenders:
        state |= described(world, places, contenders)
        introduce(state)
        for case in chosen:
            entries = case.field(contenders, who.prepares(binary))
            try:
                results["cases"][case.name] = one_case(case, entries, bench, world.server)
            except (OSError, RuntimeError) as error:  # the others' figures are good all the same
                print(f"{case.name:24} | failed: {error}", flush=True)
                results["failed"][case.name] = str(error)
            write(results)
    results["memory"] = memory(world, places, binary)
    return results


@contextlib.contextmanager
def field(world: Rig, places: Places, binary: str) -> Iterator[list[Contender]]:
    with who.pgbouncer(world, places, binary) as theirs, who.sluice(world, places) as ours:
        yield [who.direct(world), theirs, ours]


def described(world: Rig, places: Places, contenders: Sequence[Contender]) -> dict[str, Any]:
    """What was measured, and how: beside the figures."""
    return {
        "postgresql": world.server.fetch("SHOW server_version")[0],
        "compiled": next(one.compiled for one in contenders if one.name == SLUICE),
        "code": who.digest(ROOT / "proxy"),
        "tls": {one.name: cipher(one) for one in contenders},
        "pinned": {"proxy": sorted(places.proxy), "others": sorted(places.others)},
        "command": f"make bench BENCH_SECONDS={SECONDS:g} BENCH_REPEATS={REPEATS}"
        f" BENCH_CASES={CHOSEN} BENCH_CROWD={CLIENTS}",
        "fairness": FAIRNESS,
    }


def cipher(contender: Contender) -> str:
    """TLS as a client and this contender agree on it."""
    with contender.door.raw(tls=True) as client:
        sock = bare(client)
        assert isinstance(sock, ssl.SSLSocket)
        name, protocol, _ = sock.cipher() or ("none", "none", 0)
    return f"{protocol} {name}"


def _pgbench_version() -> str:
    return who.version(who.find_pgbench())


def introduce(state: dict[str, Any]) -> None:
    for name, value in state.items():
        if name != "fairness":
            print(f"== {name}: {value}")
    for note in FAIRNESS:
        print(f"-- {note}")
    names = (f"{name:^{_WIDTH}}" for name in (DIRECT, PGBOUNCER, SLUICE))
    print(f"\n{'':24} | {' | '.join(names)} | ratio [spread]")
    words = "µs/txn (us+sy), txn/s, p50/p99 ms"
    print(f"{'case':24} | {words}; p50/p99 of proxies: added to direct", flush=True)


def one_case(
    case: Case, entries: Sequence[Entry], bench: Bench, server: Postgres
) -> dict[str, Any]:
    strangers = Strangers()
    samples = rounds(entries, bench, server)
    figures = compare(samples, peer_of(entries))
    if case.work.reconnect:
        figures["connects_per_cpu_second"] = connects(samples)
    figures["foreign_cpu"] = round(strangers.share(), 3)
    show(case.name, figures)
    return figures


def rounds(entries: Sequence[Entry], bench: Bench, server: Postgres) -> dict[str, list[Sample]]:
    """They take turns, and the order turns with them."""
    samples: dict[str, list[Sample]] = {entry.label: [] for entry in entries}
    for turn in range(REPEATS):
        for step in range(len(entries)):
            entry = entries[(turn + step) % len(entries)]
            if entry.work.script == "tpcb":
                server.execute(*_UNCLEAN, database=APP_DATABASE)
            samples[entry.label].append(bench.run(entry.contender, entry.work))
    return samples


def connects(samples: dict[str, list[Sample]]) -> dict[str, Any]:
    rates = {name: [1e6 / one.cpu_us for one in samples[name]] for name in (PGBOUNCER, SLUICE)}
    ratios = spread(
        ours / theirs for ours, theirs in zip(rates[SLUICE], rates[PGBOUNCER], strict=True)
    )
    return {
        "ratio": ratios["median"],
        "spread": [ratios["min"], ratios["max"]],
        **{name: spread(found, 0) for name, found in rates.items()},
    }


def show(case: str, figures: dict[str, Any]) -> None:
    cells = [f"{case:24}"]
    for name in (DIRECT, PGBOUNCER, SLUICE):
        cells.append(f"{_cell(name, figures):{_WIDTH}}")
    low, high = figures["spread"]
    ratio = f"{figures['ratio']:.3f} [{low:.2f}..{high:.2f}]"
    of = "" if figures["peer"] == PGBOUNCER else f" of {figures['peer']}"
    foreign = f"; others used {100 * figures['foreign_cpu']:.0f} % CPU"
    print(" | ".join([*cells, ratio + of + foreign]), flush=True)


def _cell(name: str, figures: dict[str, Any]) -> str:
    found = figures["contenders"].get(name)
    if found is None:
        return "cannot"
    middle = {field: figure["median"] for field, figure in found.items()}
    if name == DIRECT:
        return f"{middle['tps']:.0f}/s {middle['p50_ms']:.2f}/{middle['p99_ms']:.2f}"
    added = figures["added_ms"][name]
    return (
        f"{middle['cpu_us']:.1f} ({middle['user_us']:.1f}+{middle['system_us']:.1f})"
        f" {middle['tps']:.0f}/s"
        f" {added['p50']['median']:+.2f}/{added['p99']['median']:+.2f}"
    )


def memory(world: Rig, places: Places, binary: str) -> dict[str, Any]:
    """Of processes that are new, since those of the cases have had their peaks."""
    found: dict[str, Any] = {}
    for tls, count in ((False, CLIENTS), (True, TLS_CLIENTS)):
        name = f"memory/{'tls' if tls else 'plain'}/{count}"
        if not wanted(name, CHOSEN):
            continue
        found[name] = {}
        if missing := descriptors(count):
            print(f"{name:24} | not measured: {missing}")
            found[name] = {SLUICE: {"missing": missing}}
            continue
        with field(world, places, binary) as contenders:
            for one in contenders[1:]:
                found[name][one.name] = figures = crowd(one, count, tls=tls)
                print(f"{name:24} | {one.name:9} | {_words(figures)}", flush=True)
    return found


def _words(figures: dict[str, Any]) -> str:
    answered = f"{figures['answered']} of {figures['clients']} answered"
    return (
        f"base {figures['base_kib'] / 1024:.1f} MiB; each client {figures['idle_kib']:.2f} KiB,"
        f" after a query {figures['queried_kib']:.2f} KiB; {answered}"
    )


def finish(results: dict[str, Any], began: float) -> None:
    judged: list[Goal] = goals(results)
    results["goals"] = [goal.document() for goal in judged]
    results["machine"]["load_after"] = os.getloadavg()
    results["machine"]["seconds"] = round(time.monotonic() - began)
    write(results)
    written = "build/bench.json"
    if results["cases"]:
        bench_plot.draw(BUILD / "bench.png", results)
        written += " and build/bench.png"
    for goal in judged:
        print(f"== {goal}")
    print(f"== {written} written, {time.monotonic() - began:.0f} s")


def write(results: dict[str, Any]) -> None:
    """After each case, so that a run cut short has its figures."""
    BUILD.mkdir(exist_ok=True)
    text = json.dumps(results, indent=2, ensure_ascii=False)
    (BUILD / "bench.json").write_text(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
