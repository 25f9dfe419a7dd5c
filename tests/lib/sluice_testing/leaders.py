"""Who leads: by the Lease, and by what every pod of the operator says of itself."""

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sluice_testing.api_metrics import samples
from sluice_testing.chart import OPERATOR_PODS, SYSTEM, leader
from sluice_testing.kubernetes import Kubectl, eventually, get, listed

# The processes of a pod are those that have its name in their environment.
_SIGNAL = """
for process in $(grep -lzx "POD_NAME=$0" /proc/[0-9]*/environ 2>/dev/null); do
    kill -s "$1" "$(echo "$process" | cut -d/ -f3)" && echo "$process"
done
"""


class Node(Kubectl, Protocol):
    """What these helpers need of the fixture `cluster`."""

    def on_node(self, *command: str) -> str: ...


@dataclass(frozen=True)
class Lease:
    """Who holds it; times are seconds since the epoch, by the clocks of the operator's pods."""

    holder: str
    acquired: float
    renewed: float

    @property
    def pod(self) -> str:
        return self.holder.partition("_")[0]


def lease(cluster: Kubectl) -> Lease:
    found = get(cluster, "lease", "sluice-operator", SYSTEM) or {"spec": {}}
    spec = found["spec"]
    return Lease(spec["holderIdentity"], _seconds(spec["acquireTime"]), _seconds(spec["renewTime"]))


def until_alone(cluster: Kubectl) -> None:
    """Returns once the operator's pods of before a rollout, which may have led, are gone."""

    def look() -> bool:
        found = listed(cluster, "pods", SYSTEM, OPERATOR_PODS)
        return not any("deletionTimestamp" in pod["metadata"] for pod in found)

    eventually(look, "no pod of the operator is ending", 90)


def leading(cluster: Kubectl) -> Lease:
    """The Lease, once a pod holds it that is there to stay."""
    leader(cluster)
    return lease(cluster)


def signal(cluster: Node, pod: str, name: str) -> None:
    """Sends the signal `name`, such as KILL, to the operator's process in `pod`.

    Neither Kubernetes nor the process hears of a KILL before it is done.
    """
    sent = cluster.on_node("sh", "-c", _SIGNAL, pod, name).split()
    if len(sent) != 1:
        raise AssertionError(f"processes of the pod {pod}: {sent}")


def stop(cluster: Kubectl, pod: str) -> float:
    """Has a pod deleted, with its grace; when that was, in seconds since the epoch.

    By the API server's clock, which tells whole seconds: it was then or up to a second later.
    """
    path = f"/api/v1/namespaces/{SYSTEM}/pods/{pod}"
    metadata: dict[str, Any] = json.loads(cluster.kubectl("delete", "--raw", path))["metadata"]
    return _seconds(metadata["deletionTimestamp"]) - float(metadata["deletionGracePeriodSeconds"])


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


@dataclass(frozen=True)
class Claim:
    """That a pod said it leads, or that it does not; None: it did not answer."""

    pod: str
    leads: bool | None


def contested(claims: Sequence[Claim]) -> list[tuple[str, str]]:
    """Pairs of pods of which both led at one moment.

    One said so before and after the other did, and nothing else in between.
    """
    found = []
    leading: dict[str, set[str]] = {}
    for claim in claims:
        if not claim.leads:
            leading.pop(claim.pod, None)
            continue
        found += [(claim.pod, other) for other in leading.get(claim.pod, ())]
        leading[claim.pod] = set()
        for pod, others in leading.items():
            if pod != claim.pod:
                others.add(claim.pod)
    return found


@contextlib.contextmanager
def watched(cluster: Kubectl) -> Iterator[list[Claim]]:
    """What all pods of the operator say, again and again while this context lasts."""
    claims = list(_ask(cluster))
    enough = threading.Event()

    def watch() -> None:
        while not enough.is_set():
            claims.extend(_ask(cluster))

    with ThreadPoolExecutor(1) as background:
        watching = background.submit(watch)
        try:
            yield claims
        finally:
            enough.set()
            watching.result()
    claims.extend(_ask(cluster))


def _ask(cluster: Kubectl) -> Iterator[Claim]:
    for pod in listed(cluster, "pods", SYSTEM, OPERATOR_PODS):
        name = pod["metadata"]["name"]
        yield Claim(name, _leads(cluster, name))


def _leads(cluster: Kubectl, pod: str) -> bool | None:
    path = f"/api/v1/namespaces/{SYSTEM}/pods/{pod}:8080/proxy/metrics"
    try:
        text = cluster.kubectl("get", "--raw", path, "--request-timeout=2s")
    except Exception:
        return None
    told = {name: value for name, _, value in samples(text)}
    return told.get("sluice_operator_leader") == 1
