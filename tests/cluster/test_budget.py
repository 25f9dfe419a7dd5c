"""The budget is one number for the whole fleet, whatever happens to its pods.

Short clients and long ones work through a DatabaseProxy while its pods are scaled, rolled,
deleted and killed. Ten times a second and more often the server is asked how many connections
it has: never more than `maxConnectionsPercent` of its `max_connections`.
"""

import itertools
import json
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from kube.client import Cluster

from sluice_testing import fleet, pods, shop
from sluice_testing.kubernetes import eventually, secret
from sluice_testing.load import Load, Run, Sample, Session, Step, follow
from sluice_testing.shop import SUPERUSER_PASSWORD, Namespace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

PERCENT, MAX_CONNECTIONS = 40, 100
BUDGET = PERCENT * MAX_CONNECTIONS // 100
SECONDS = 110.0
SAMPLE_SECONDS = 0.1
"""How often the server is looked at, at least; one gap may be longer, where the machine slept."""
LET_GO_SECONDS = 25.0
"""In which a pod ends that was deleted without a grace: its process outlives its object."""
BUILD = Path(__file__).resolve().parents[2] / "build"


@dataclass
class Experiment:
    """What is done to the fleet while clients are at work, and when it was done."""

    namespace: Namespace
    done: list[tuple[float, str]] = field(default_factory=list)
    replicas: list[int] = field(default_factory=list)
    killed_clients: int = 0

    def steps(self) -> list[Step]:
        return [
            Step(12.0, self._named("replicas 1 → 4", lambda: self.scale(4))),
            Step(30.0, self._named("replicas 4 → 2", lambda: self.scale(2))),
            Step(50.0, self._named("a rollout", self.roll)),
            Step(72.0, self._named("a pod is deleted", self.delete)),
            Step(90.0, self._named("a pod is killed", self.kill)),
        ]

    def scale(self, replicas: int) -> None:
        self.namespace.kubectl("scale", "databaseproxy/orders", f"--replicas={replicas}")

    def roll(self) -> None:
        """By what a user may change of the pods."""
        template = {"metadata": {"annotations": {"example.com/rolled": "yes"}}}
        change = json.dumps({"spec": {"podTemplate": template}})
        self.namespace.kubectl("patch", "databaseproxy", "orders", "--type=merge", "-p", change)

    def delete(self) -> None:
        self.namespace.kubectl("delete", "pod", self._a_pod(), "--wait=false")

    def kill(self) -> None:
        """Its object is gone at once, its process with the kubelet's next look."""
        name = self._a_pod()
        self.killed_clients = fleet.states(self.namespace)[name]["pool"]["clients"]
        self.namespace.kubectl("delete", "pod", name, "--grace-period=0", "--force")

    def _a_pod(self) -> str:
        name: str = min(pod["metadata"]["name"] for pod in self.namespace.pods().values())
        return name

    def _named(self, what: str, act: Callable[[], None]) -> Callable[[float], None]:
        def step(at: float) -> None:
            act()
            self.done.append((at, what))

        return step


@pytest.fixture(scope="module")
def namespace(operator: Cluster) -> Iterator[Namespace]:
    """A database of its own: nobody else's connections are counted."""
    with shop.database(operator) as host, shop.namespace(operator, host) as made:
        uri = f"postgresql://postgres:{SUPERUSER_PASSWORD}@{host}/postgres?sslmode=disable"
        made.apply(
            secret("superuser", made.name, {"SERVER_URI": uri}),
            made.proxy(connectionPool={"maxConnectionsPercent": PERCENT}),
        )
        status = made.until_ready()["status"]
        for name in ("short", "long"):
            where = (name, made.name, status["endpoint"], status["caSecretName"])
            pods.start(operator, pods.Clients(*where, "orders-app", "superuser"))
        yield made


def test_the_server_never_sees_more_than_the_budget(
    operator: Cluster, namespace: Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    eventually(lambda: namespace.state()["pool"]["budget"] > BUDGET // 2, "one pod has most of it")
    experiment = Experiment(namespace)
    # More than there is room for: two in three of the short ones are in a transaction.
    short = Load(namespace.name, "short", 60, seconds=SECONDS, work=1.0, hold=2.0, sample=0.05)
    long = replace(short, pod="long", clients=10, seconds=SECONDS - 15, hold=15.0)
    with ThreadPoolExecutor(1) as background:
        patient = background.submit(follow, operator, long)
        run = follow(operator, short, experiment.steps())
        slow = patient.result()
    with capsys.disabled():
        print(summary(experiment, run, slow))
    assert len(experiment.done) == 5
    most = max(sample.server_connections for sample in samples(run, slow))
    assert most <= BUDGET
    # It was a budget, and not a lack of clients, that kept them there.
    assert most >= BUDGET * 3 // 4
    assert statistics.median(gaps(run, slow)) <= SAMPLE_SECONDS
    # Who was in the killed pod has lost its connection; nobody else has.
    gone = lost(run, slow)
    killed_at, _ = experiment.done[-1]
    after = [one for one in gone if killed_at <= one.at <= killed_at + LET_GO_SECONDS]
    assert [told(one) for one in gone if one not in after] == []
    assert len(after) <= 60


def lost(*runs: Run) -> list[Session]:
    return [session for run in runs for session in run.sessions if session.error]


def told(session: Session) -> str:
    return f"{session.at:.1f} s, pid {session.pid}: {session.error}"


def gaps(*runs: Run) -> list[float]:
    """Seconds between two looks of the same load at the server: together they looked more often."""
    return [b.at - a.at for run in runs for a, b in itertools.pairwise(run.samples)]


def samples(*runs: Run) -> list[Sample]:
    """What both loads saw of the server: a busy one alone would look too seldom."""
    return sorted((sample for run in runs for sample in run.samples), key=lambda look: look.at)


def summary(experiment: Experiment, run: Run, slow: Run) -> str:
    """A table for a reader; and `build/budget.json`."""
    looks = samples(run, slow)
    bounds = [0.0, *(at for at, _ in experiment.done), SECONDS + 60]
    names = ["one pod", *(what for _, what in experiment.done)]
    document = {
        "budget": BUDGET,
        "samples": len(looks),
        "median_gap_s": round(statistics.median(gaps(run, slow)), 3),
        "longest_gap_s": round(max(gaps(run, slow)), 2),
        "most_server_connections": max(look.server_connections for look in looks),
        "sessions": len(run.sessions) + len(slow.sessions),
        "errors": run.errors().total() + slow.errors().total(),
        "clients_of_the_killed_pod": experiment.killed_clients,
        "phases": [
            phase(name, begin, end, (run, slow))
            for name, begin, end in zip(names, bounds, bounds[1:], strict=False)
        ],
    }
    BUILD.mkdir(exist_ok=True)
    (BUILD / "budget.json").write_text(json.dumps(document, indent=2) + "\n")
    return table(document)


def phase(name: str, begin: float, end: float, runs: tuple[Run, Run]) -> dict[str, object]:
    looks = [look.server_connections for look in samples(*runs) if begin <= look.at < end]
    sessions = [s for run in runs for s in run.sessions if begin <= s.at < end]
    return {
        "what": name,
        "from_s": round(begin, 1),
        "samples": len(looks),
        "server_connections": [min(looks), max(looks)] if looks else [],
        "sessions": len(sessions),
        "errors": sum(session.error is not None for session in sessions),
    }


def table(document: dict[str, object]) -> str:
    phases = document["phases"]
    assert isinstance(phases, list)
    rows = [
        f"  {item['what']:<18}{item['from_s']:>6} s {item['samples']:>8} samples"
        f"   server connections {item['server_connections']!s:>9}"
        f" {item['sessions']:>7} sessions {item['errors']:>4} errors"
        for item in phases
    ]
    head = (
        f"\n  budget {document['budget']}: at most {document['most_server_connections']} server "
        f"connections in {document['samples']} samples, {document['median_gap_s']} s apart "
        f"(the median; at most {document['longest_gap_s']} s); the killed pod had "
        f"{document['clients_of_the_killed_pod']} clients"
    )
    return "\n".join([head, *rows])
