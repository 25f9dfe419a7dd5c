"""Streams of new clients in a pod: what they are told to do, and what became of them, as values.

The program is `tests/clients/stream.py`; what it tells comes here line by line, while it runs.
"""

import contextlib
import json
import math
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from sluice_testing.kubernetes import eventually
from sluice_testing.load import Streaming
from sluice_testing.pods import PASSWORD_FILE

KINDS = ("plain", "tls", "binding", "direct")
_START_SECONDS = 30.0


@dataclass(frozen=True)
class Stream:
    """Of each kind one client begins every `every` seconds, in a pod of client programs."""

    namespace: str
    pod: str
    kinds: tuple[str, ...] = KINDS
    every: float = 0.05

    def command(self, enough: str) -> tuple[str, ...]:
        return (
            *("python3", "/clients/stream.py", f"--password-file={PASSWORD_FILE}"),
            *(f"--kinds={','.join(self.kinds)}", f"--every={self.every}", f"--enough={enough}"),
        )


@dataclass(frozen=True)
class Failure:
    """A client that was not served: `begun` is seconds since the epoch, `after` seconds later."""

    kind: str
    begun: float
    after: float
    sqlstate: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind} after {self.after:.2f} s: {self.sqlstate} {self.text}"


@dataclass
class Told:
    """All that a stream told; `begun`, `ok`, `errors` and `taken` by kind are there at its end.

    `served` and `under_way` are of the present one. `taken` are the seconds from a client's first
    SYN to its end, of those that were served.
    """

    served: int = 0
    under_way: int = 0
    failures: list[Failure] = field(default_factory=list)
    begun: Counter[str] = field(default_factory=Counter)
    ok: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    taken: dict[str, list[float]] = field(default_factory=dict)
    started: bool = False
    ended: bool = False

    def add(self, told: dict[str, Any]) -> None:
        """One line of the stream's output."""
        match told.pop("event"):
            case "begin":
                self.started = True
            case "tick":
                self.served, self.under_way = told["ok"], told["under_way"]
            case "error":
                del told["at"]
                self.failures.append(Failure(**told))
            case "end":
                for kind, one in told["by_kind"].items():
                    self._end(kind, one)
                self.ended = True

    def _end(self, kind: str, one: dict[str, Any]) -> None:
        self.begun[kind] += one["begun"]
        self.ok[kind] += one["ok"]
        self.errors[kind] += one["errors"]
        self.taken.setdefault(kind, []).extend(one["taken"])

    @property
    def slowest(self) -> float:
        """Seconds that the slowest of those took that were served."""
        return max((max(taken) for taken in self.taken.values() if taken), default=0.0)


@contextlib.contextmanager
def streaming(cluster: Streaming, stream: Stream, told: Told | None = None) -> Iterator[Told]:
    """A stream that lasts as long as this context; at its end everybody's fate is in `told`.

    One that has the figures of earlier streams gets those of this one added.
    """
    told, enough = told or Told(), f"/login/{uuid.uuid4().hex}"
    told.served, told.started, told.ended = 0, False, False
    here = ("-n", stream.namespace, "exec", stream.pod, "--")
    with ThreadPoolExecutor(1) as background:
        ended = background.submit(_follow, cluster, (*here, *stream.command(enough)), told)
        try:
            eventually(lambda: told.started or ended.done(), "the stream", _START_SECONDS)
            yield told
        finally:
            cluster.kubectl(*here, "touch", enough)
            ended.result()
    if not told.ended:
        raise AssertionError(f"the stream in pod {stream.pod} ended before its time")


def _follow(cluster: Streaming, command: tuple[str, ...], told: Told) -> None:
    with cluster.lines(*command) as lines:
        for line in lines:
            told.add(json.loads(line))


def until_served(told: Told, more: int, seconds: float = 60.0) -> None:
    """Returns once `more` clients than now were served."""
    before = told.served
    eventually(lambda: told.served >= before + more, f"{more} clients more are served", seconds)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all values do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]
