"""One run of pgbench against one contender, and what it cost in the part that is measured.

pgbench logs each transaction with the moment of its end; meanwhile the proxy's CPU is read ten
times a second. What is measured begins when each client has had its first transaction, so that
logins and preparing are over, and _WARM seconds after the first of all; it lasts from one
reading to another, and counts the transactions that ended between the two.
"""

import math
import os
import subprocess
import tempfile
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contenders import Contender
from readings import Cpu

from sluice_testing.postgres import APP_DATABASE, APP_PASSWORD, APP_USER
from sluice_testing.streams import percentile

SCRIPTS = {"select": "select-only", "tpcb": "tpcb-like"}
_WARM = 0.3
_LOOK = 0.1
_PATIENCE = 60
_TRIES = 4
# A login over TLS with SCRAM, in seconds, until a run has shown what it takes.
_LOGIN = 0.008


@dataclass(frozen=True)
class Work:
    """What pgbench does: script, protocol, clients; `reconnect`: each transaction logs in.

    A thread does its clients' logins one after the other, and PQprepare as well.
    """

    script: str
    mode: str
    tls: bool
    clients: int
    reconnect: bool = False
    threads: int = 1


@dataclass(frozen=True)
class Sample:
    """One run: µs of the proxy's CPU per transaction, transactions a second, milliseconds."""

    cpu_us: float
    user_us: float
    system_us: float
    tps: float
    p50_ms: float
    p99_ms: float
    transactions: int
    seconds: float
    busy: float  # the share of one CPU that the proxy used


@dataclass(frozen=True)
class Reading:
    """Seconds since the epoch, and the CPU of the contender then."""

    at: float
    cpu: Cpu


@dataclass(frozen=True)
class Ended:
    """A transaction: when it ended (seconds since the epoch), how long it took (µs), whose."""

    at: float
    took: int
    client: str


class Bench:
    """Runs pgbench; remembers what goes ahead of the measured part, and counts in its `-T`."""

    def __init__(self, program: str, seconds: float):
        self._program = program
        self._seconds = seconds
        self._ahead: dict[tuple[str, Work], float] = {}

    def run(self, contender: Contender, work: Work) -> Sample:
        """Anew where so much more went ahead than before that little was left."""
        for _ in range(_TRIES):
            sample = self._run(contender, work)
            if sample is not None and sample.seconds >= 0.5 * self._seconds:
                return sample
        raise RuntimeError(f"{contender.name}: not enough to measure in {work}")

    def _run(self, contender: Contender, work: Work) -> Sample | None:
        key = (contender.name, work)
        ahead = self._ahead.get(key, _WARM + (0 if work.reconnect else _LOGIN * work.clients))
        with tempfile.TemporaryDirectory(prefix="sluice-pgbench-") as name:
            seconds = math.ceil(ahead + self._seconds)
            run = Run(self._command(contender, work, seconds), Path(name), seconds + _PATIENCE)
            began = time.time()
            readings = run.watched(environment(work.tls), contender)
            ended = _logged(Path(name))
        if not ended:
            self._ahead[key] = 2 * ahead + 1
            return None
        self._ahead[key] = 1.1 * (warmed(ended) - began)
        return measured(readings, ended)

    def _command(self, contender: Contender, work: Work, seconds: int) -> list[str]:
        return [
            self._program, "--builtin", SCRIPTS[work.script], "--no-vacuum", "--log",
            "-M", work.mode, "-c", str(work.clients), "-j", str(work.threads), "-T", str(seconds),
            *(["--connect"] if work.reconnect else []),
            "-h", "127.0.0.1", "-p", str(contender.port), "-U", APP_USER, APP_DATABASE,
        ]  # fmt: skip


def environment(tls: bool) -> dict[str, str]:
    mode = "require" if tls else "disable"
    return {**os.environ, "PGPASSWORD": APP_PASSWORD, "PGSSLMODE": mode, "PGGSSENCMODE": "disable"}


@dataclass(frozen=True)
class Run:
    """A command, the folder that it writes to, and the seconds after which it hangs."""

    command: list[str]
    folder: Path
    patience: float

    def watched(self, variables: dict[str, str], contender: Contender) -> list[Reading]:
        """Runs to its end; its errors are raised."""
        readings, deadline = [], time.monotonic() + self.patience
        with (self.folder / "said").open("w+") as said:
            process = subprocess.Popen(
                self.command, env=variables, cwd=self.folder, stdout=said, stderr=said
            )
            try:
                while process.poll() is None and time.monotonic() < deadline:
                    readings.append(Reading(time.time(), contender.cpu()))
                    time.sleep(_LOOK)
            finally:
                process.kill()  # one that hangs, or whose contender is gone
                process.wait()
            if process.returncode:
                said.seek(0)
                how = f"{contender.name}: {process.returncode} of {' '.join(self.command)}"
                raise RuntimeError(f"{how}\n{said.read()[-2000:]}")
        return readings


def _logged(folder: Path) -> list[Ended]:
    """All threads' transactions in the order of their ends.

    A line: client, number, µs, script, and the end as seconds and microseconds of the epoch.
    """
    ended: list[Ended] = []
    for file in folder.glob("pgbench_log.*"):
        words = file.read_text().split()
        rows = zip(words[0::6], words[2::6], words[4::6], words[5::6], strict=True)
        ended += [Ended(int(at) + int(part) / 1e6, int(took), who) for who, took, at, part in rows]
    return sorted(ended, key=lambda one: one.at)


def warmed(ended: Sequence[Ended]) -> float:
    """When each client has had its first transaction."""
    first: dict[str, float] = {}
    for one in ended:
        first.setdefault(one.client, one.at)
    return max(ended[0].at + _WARM, *first.values())


def measured(readings: Sequence[Reading], ended: Sequence[Ended]) -> Sample | None:
    """What lies between the first reading that counts and the last; `ended` in order."""
    begin, end = warmed(ended), ended[-1].at
    inside = [reading for reading in readings if begin <= reading.at <= end]
    if len(inside) < 2:
        return None
    first, last = inside[0], inside[-1]
    ends = [one.at for one in ended]
    took = [one.took for one in ended[bisect_left(ends, first.at) : bisect_left(ends, last.at)]]
    return _sample(last.cpu - first.cpu, last.at - first.at, took) if took else None


def _sample(spent: Cpu, seconds: float, took: Sequence[int]) -> Sample:
    each = 1e6 * spent.total / len(took)
    return Sample(
        cpu_us=each,
        user_us=each * spent.user_share,
        system_us=each * (1 - spent.user_share) if each else 0.0,
        tps=len(took) / seconds,
        p50_ms=percentile(took, 50) / 1000,
        p99_ms=percentile(took, 99) / 1000,
        transactions=len(took),
        seconds=seconds,
        busy=spent.total / seconds,
    )
