"""What /proc tells: CPU and memory of processes, who else was at work, the machine itself."""

import contextlib
import os
import platform
import resource
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True)
class Cpu:
    """Seconds that a process was on a CPU so far; `user` and `system` count in ticks of 10 ms."""

    total: float = 0.0
    user: float = 0.0
    system: float = 0.0

    def __sub__(self, earlier: "Cpu") -> "Cpu":
        return Cpu(
            self.total - earlier.total, self.user - earlier.user, self.system - earlier.system
        )

    @property
    def user_share(self) -> float:
        """Of all ticks; 0 where there is none."""
        ticks = self.user + self.system
        return self.user / ticks if ticks else 0.0


def cpu(pid: int) -> Cpu:
    """The total by nanoseconds of the scheduler, of all threads that live."""
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    nanoseconds = sum(int(file.read_text().split()[0]) for file in files)
    fields = _stat(pid)
    return Cpu(nanoseconds / 1e9, int(fields[11]) / _TICKS, int(fields[12]) / _TICKS)


def resident_kib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_KIB


def tree_seconds(pid: int) -> float:
    """CPU of a process, of those under it, and of those that were and are gone."""
    under: dict[int, list[int]] = defaultdict(list)
    spent: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may have ended just now
            fields = _stat(int(folder.name))
            under[int(fields[1])].append(int(folder.name))
            spent[int(folder.name)] = sum(int(field) for field in fields[11:15])
    return _sum(pid, under, spent) / _TICKS


def _sum(pid: int, under: dict[int, list[int]], spent: dict[int, int]) -> int:
    return spent.get(pid, 0) + sum(_sum(child, under, spent) for child in under[pid])


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


class Strangers:
    """The share of all CPUs that was used by nobody of ours, since this was made."""

    def __init__(self) -> None:
        self._busy, self._all = _cpus()
        self._ours = tree_seconds(os.getpid())

    def share(self) -> float:
        busy, every = _cpus()
        strange = busy - self._busy - (tree_seconds(os.getpid()) - self._ours)
        return max(0.0, strange) / max(every - self._all, 1e-9)


def _cpus() -> tuple[float, float]:
    """Seconds of all CPUs: not idle (time that a hypervisor stole included), and in all."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    ticks = [int(field) for field in fields]
    return (sum(ticks) - ticks[3] - ticks[4]) / _TICKS, sum(ticks) / _TICKS


@dataclass(frozen=True)
class Places:
    """CPUs: one for the proxies, the others for clients and server; all for all with one CPU."""

    proxy: frozenset[int]
    others: frozenset[int]

    @classmethod
    def of_this_machine(cls) -> "Places":
        first, *rest = sorted(os.sched_getaffinity(0))
        return cls(frozenset({first}), frozenset(rest or {first}))


@contextlib.contextmanager
def pinned(cpus: frozenset[int]) -> Iterator[None]:
    """Who is started in here stays on these CPUs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def allow_descriptors(wanted: int) -> str:
    """Raises the limit for this process and whom it starts; says what is missing, or nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, wanted)
    # Both where that may be, and else as much as may be.
    for limits in ((max(soft, wanted), max(hard, wanted)), (max(soft, min(wanted, hard)), hard)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            break
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return ""
    return f"RLIMIT_NOFILE: {wanted} descriptors are needed, the hard limit is {hard} (ulimit -Hn)"


def machine() -> dict[str, object]:
    model = next(
        (line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "unknown",
    )
    return {
        "cpus": os.cpu_count(),
        "cpu_model": model.rpartition(":")[2].strip(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": os.getloadavg(),
    }
