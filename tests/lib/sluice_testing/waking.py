"""One cold wake, stage by stage: who saw what when, by the clock that all of them share.

The client tells its first SYN and its first row; the activator what it did; a watch when the pod
was made; the kernel when its processes began; the proxy when it listened.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sluice_testing.api import Watch
from sluice_testing.leaders import Node
from sluice_testing.node import began
from sluice_testing.pausing import CLIENTS, Sleeper, Town, until_serving
from sluice_testing.pods import PASSWORD_FILE

STAGES = (
    *("accept", "patch", "pod_created", "sandbox", "process_start", "listening", "splice"),
    "first_row",
)
"""In their order; each is told in seconds since the client's first SYN."""
_PAUSE = "pause"
_LISTENING = "listening"


class Machine(Town, Node, Protocol):
    """What is needed of the fixture `cluster`."""


@dataclass(frozen=True)
class Wake:
    """Seconds by stage; `error` is what the client saw instead of its row."""

    stages: dict[str, float]
    error: str = ""

    @property
    def to_listen(self) -> float:
        """From the start of the proxy's process until it listens, in seconds."""
        return self.stages["listening"] - self.stages["process_start"]


def wake(cluster: Machine, sleeper: Sleeper, watch: Watch, kind: str) -> Wake:
    """A client of this kind wakes the proxy, which has no pod; returns when one is ready."""
    program = ("python3", "/clients/first_row.py", f"--kind={kind}")
    arguments = (*program, f"--password-file={PASSWORD_FILE}")
    told = json.loads(sleeper.namespace.kubectl("exec", CLIENTS, "--", *arguments))
    if "error" in told:
        return Wake({}, told["error"])
    # Long before the API server knows that there is a process, and has its log.
    (uid,) = until_serving(watch, 1)
    activator = _of_activator(sleeper, told["syn"])
    times = {**activator, **_of_pod(cluster, watch, uid), "first_row": told["first_row"]}
    # It listens before it has come so far as to say so; the activator may find out at once.
    times["listening"] = min(activator["listening"], _said(sleeper, _name(watch, uid)))
    return Wake({stage: round(times[stage] - told["syn"], 3) for stage in STAGES})


def _of_activator(sleeper: Sleeper, syn: float) -> dict[str, float]:
    """What the activator did that this client came to, in seconds since the epoch."""
    told = [one["wake"] for one in sleeper.wakes(sleeper.activators())]
    (mine,) = (one for one in told if one and one["at"] >= syn)
    at, stages = mine["at"], mine["stages"]
    return {stage: at + stages[stage] for stage in ("accept", "patch", "listening", "splice")}


def _of_pod(cluster: Machine, watch: Watch, uid: str) -> dict[str, float]:
    """When it was made, in seconds since the epoch, and its two processes began."""
    created = watch.first(lambda event: event.uid == uid)
    assert created is not None
    processes = began(cluster, uid)
    (sandbox,) = (process.at for process in processes if process.name == _PAUSE)
    start = min(process.at for process in processes if process.name != _PAUSE)
    return {"pod_created": created, "sandbox": sandbox, "process_start": start}


def _name(watch: Watch, uid: str) -> str:
    return str(watch.there()[uid]["metadata"]["name"])


def _said(sleeper: Sleeper, pod: str) -> float:
    """When the proxy said that it listens, in seconds since the epoch."""
    lines = map(_event, sleeper.namespace.kubectl("logs", pod).splitlines())
    stamp = next(line["ts"] for line in lines if line["msg"] == _LISTENING)
    return datetime.fromisoformat(stamp).timestamp()


def _event(line: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(line)
    return event
