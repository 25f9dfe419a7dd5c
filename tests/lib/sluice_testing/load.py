"""Crowds of clients in a pod: what they are told to do, and what they saw, as values.

The program is `tests/clients/load.py`; what it tells comes here line by line, while it runs.
"""

import collections
import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from sluice_testing.kubernetes import Kubectl, eventually
from sluice_testing.pods import PASSWORD_FILE

_ENOUGH = "/login/enough"
_VERY_LONG = 3600.0


class Streaming(Kubectl, Protocol):
    """What these helpers need of the fixture `cluster`."""

    def lines(self, *arguments: str) -> AbstractContextManager[Iterator[str]]:
        """kubectl's stdout as it comes; raises if kubectl fails."""
        ...


@dataclass(frozen=True)
class Load:
    """So many clients, evenly over `ramp`, each for about `work`, new ones for `seconds`.

    Each keeps its transaction open for about `hold`; the server is looked at every `sample`.
    """

    namespace: str
    pod: str
    clients: int
    ramp: float = 0.0
    seconds: float = 0.0
    work: float = 25.0
    hold: float = 0.0
    sample: float = 0.25

    def command(self) -> tuple[str, ...]:
        numbers = ("clients", "ramp", "seconds", "work", "hold", "sample")
        return (
            *("python3", "/clients/load.py", f"--password-file={PASSWORD_FILE}"),
            f"--enough={_ENOUGH}",
            *(f"--{name}={getattr(self, name)}" for name in numbers),
        )


@dataclass(frozen=True)
class Sample:
    """How things stood `at` seconds after the start of the load."""

    at: float
    in_flight: int
    connected: int
    server_connections: int
    sessions: int
    errors: int


@dataclass(frozen=True)
class Session:
    """One client from connect to disconnect, which ended `at` seconds after the start.

    `password` counts the passwords that the clients were given: 0 is the first one. `pid` is the
    one of its cancel key, which tells its pod; 0 if it was not let in.
    """

    at: float
    password: int
    connect_ms: float | None
    query_ms: list[float]
    error: str | None
    pid: int = 0


@dataclass
class Run:
    """All that one load told."""

    samples: list[Sample] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    ended: bool = False
    most_connected: int = 0

    def add(self, told: dict[str, Any]) -> None:
        """One line of the load's output."""
        event = told.pop("event")
        if event == "sample":
            self.samples.append(Sample(**told))
        elif event == "session":
            self.sessions.append(Session(**told))
        else:
            self.ended = True
            self.most_connected = told["most"]

    @property
    def at(self) -> float:
        return self.samples[-1].at if self.samples else 0.0

    @property
    def most_in_flight(self) -> int:
        return max(sample.in_flight for sample in self.samples)

    @property
    def most_server_connections(self) -> int:
        return max(sample.server_connections for sample in self.samples)

    def errors(self, since: float = 0.0) -> collections.Counter[str]:
        """What went wrong after `since`, most frequent first."""
        return collections.Counter(
            session.error for session in self.sessions if session.error and session.at >= since
        )

    def connect_ms(self) -> list[float]:
        return [s.connect_ms for s in self.sessions if s.connect_ms is not None]

    def query_ms(self) -> list[float]:
        return [time for session in self.sessions for time in session.query_ms]


@dataclass
class Step:
    """Something to be done while the load runs, `at` seconds after its start."""

    at: float
    act: Callable[[float], None]


def follow(
    cluster: Streaming,
    load: Load,
    steps: list[Step] | None = None,
    told: Callable[[Run], None] | None = None,
) -> Run:
    """Runs the load to its end; takes the steps when their time has come; `told` hears of each
    line."""
    run, due = Run(), list(steps or [])
    for _ in _lines(cluster, load, run):
        if told is not None:
            told(run)
        while due and run.at >= due[0].at:
            due.pop(0).act(run.at)
    return run


@contextlib.contextmanager
def at_work(cluster: Streaming, load: Load) -> Iterator[Run]:
    """A load that lasts as long as this context; at its end `Run` is whole."""
    lasting, run = replace(load, seconds=_VERY_LONG), Run()
    here = ("-n", load.namespace, "exec", load.pod, "--")
    with ThreadPoolExecutor(1) as background:
        ended = background.submit(lambda: list(_lines(cluster, lasting, run)))
        try:
            eventually(lambda: ended.done() or len(run.sessions) >= load.clients, "a busy load")
            yield run
        finally:
            cluster.kubectl(*here, "touch", _ENOUGH)
            ended.result()
            cluster.kubectl(*here, "rm", _ENOUGH)


def _lines(cluster: Streaming, load: Load, run: Run) -> Iterator[None]:
    """Enters each line of the load's output in `run`, as it comes."""
    with cluster.lines("-n", load.namespace, "exec", load.pod, "--", *load.command()) as lines:
        for line in lines:
            run.add(json.loads(line))
            yield
    if not run.ended or not run.samples:
        raise AssertionError(f"the load in pod {load.pod} ended before its time")
