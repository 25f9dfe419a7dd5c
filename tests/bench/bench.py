"""`make bench`: what a transaction costs the proxy, against PgBouncer and against none.

pgbench's select-only script in simple and extended mode; contenders take turns
within one run, since the machine's mood changes. A figure counts only as a ratio to its
peer of the same round. Prints a table, writes build/bench.json.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import contenders as who
from contenders import Contender

from sluice_testing import postgres
from sluice_testing.certificates import Authority
from sluice_testing.postgres import APP_DATABASE, APP_PASSWORD, APP_USER, Postgres

ROOT = Path(__file__).resolve().parents[2]
SECONDS = int(os.environ.get("BENCH_SECONDS", "4"))
REPEATS = int(os.environ.get("BENCH_REPEATS", "5"))
MAJOR = 15
CASES = (("simple", 1), ("simple", 50), ("extended", 1), ("extended", 50))


@dataclass(frozen=True)
class Sample:
    """One run of pgbench: microseconds of CPU per transaction, transactions a second."""

    cpu_us: float
    tps: float
    latency_ms: float


def measure(contender: Contender, pgbench: str, mode: str, clients: int) -> Sample:
    before = contender.cpu_seconds()
    command: list[str | Path] = [
        pgbench, "-S", "-n", "-M", mode, "-c", str(clients), "-j", "1",
        "-T", str(SECONDS), "-h", "127.0.0.1", "-p", str(contender.port), "-U", APP_USER,
        APP_DATABASE,
    ]  # fmt: skip
    shown = subprocess.run(
        command, env=environment(), check=True, capture_output=True, text=True
    ).stdout
    spent = contender.cpu_seconds() - before
    count = int(found(shown, "number of transactions actually processed:").split("/")[0])
    tps = float(found(shown, "tps =").split()[0])
    return Sample(1e6 * spent / count, tps, float(found(shown, "latency average =").split()[0]))


def found(text: str, label: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(label))[len(label) :].strip()


def environment() -> dict[str, str]:
    return {**os.environ, "PGPASSWORD": APP_PASSWORD, "PGSSLMODE": "disable"}


def rounds(field: list[Contender], pgbench: str, mode: str, clients: int) -> list[list[Sample]]:
    """One list of samples for each contender; they take turns, and the order turns with them."""
    samples: list[list[Sample]] = [[] for _ in field]
    for turn in range(REPEATS):
        for step in range(len(field)):
            at = (turn + step) % len(field)
            samples[at].append(measure(field[at], pgbench, mode, clients))
    return samples


def compare(samples: list[list[Sample]], names: list[str]) -> dict[str, object]:
    """Medians, and the ratio of Sluice's CPU to PgBouncer's round by round."""
    by_name = dict(zip(names, samples, strict=True))
    pairs = zip(by_name["Sluice"], by_name["PgBouncer"], strict=True)
    ratios = [ours.cpu_us / theirs.cpu_us for ours, theirs in pairs]
    figures: dict[str, object] = {
        "ratio": round(statistics.median(ratios), 3),
        "spread": [round(min(ratios), 3), round(max(ratios), 3)],
    }
    for name, mine in by_name.items():
        middle = {
            field: round(statistics.median(asdict(sample)[field] for sample in mine), 3)
            for field in ("cpu_us", "tps", "latency_ms")
        }
        figures[name] = middle
    return figures


def show(case: str, figures: dict[str, object]) -> None:
    cells = [f"{case:14}"]
    for name in ("direct", "PgBouncer", "Sluice"):
        middle = figures[name]
        assert isinstance(middle, dict)
        cells.append(f"{middle['cpu_us']:7.1f} µs {middle['tps']:8.0f}/s")
    print(" | ".join(cells), f"| {figures['ratio']} {figures['spread']}", flush=True)


def machine(binary: str) -> dict[str, object]:
    return {
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "pgbouncer": who.version(binary),
        "code": who.digest(ROOT / "proxy"),
        "command": f"make bench BENCH_SECONDS={SECONDS} BENCH_REPEATS={REPEATS}",
        "fairness": f"{who.POOL_SIZE} server connections and SCRAM each, no TLS, one process each;"
        " logs and statistics at their least",
    }


def prepare(server: Postgres, pgbench: str) -> None:
    command: list[str | Path] = [
        pgbench, "-i", "-q", "-s", "5", "-h", server.host, "-p",
        str(server.port), "-U", APP_USER, APP_DATABASE,
    ]  # fmt: skip
    subprocess.run(command, env=environment(), check=True, stderr=subprocess.DEVNULL)


def run(folder: Path) -> dict[str, object]:
    binary, pgbench = who.find_pgbouncer(), who.find_pgbench()
    installed = subprocess.run(
        [sys.executable, ROOT / "tests/postgres/install.py"],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip
    builds = postgres.reachable_builds(Path(installed.strip()), folder)
    server = postgres.with_app(builds / str(MAJOR), folder / "postgres", Authority())
    field = [who.direct(server)]
    try:
        prepare(server, pgbench)
        field += [who.pgbouncer(server, folder, binary), who.sluice(server, folder)]
        return cases(field, pgbench, binary)
    finally:
        for contender in field:
            contender.stop()
        server.destroy()


def cases(field: list[Contender], pgbench: str, binary: str) -> dict[str, object]:
    print(f"{'case':14} | direct | PgBouncer | Sluice: CPU per transaction | ratio, spread")
    names = [contender.name for contender in field]
    results: dict[str, object] = {}
    for mode, clients in CASES:
        case = f"{mode} c={clients}"
        results[case] = figures = compare(rounds(field, pgbench, mode, clients), names)
        show(case, figures)
    memory = {contender.name: contender.resident_kib() for contender in field[1:]}
    return {"cases": results, "resident_kib": memory, "machine": machine(binary)}


def main() -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        results = run(folder)
    target = ROOT / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=2) + "\n")
    print(f"== {target.relative_to(ROOT)} written, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
