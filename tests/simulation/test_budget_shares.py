"""The fleet's budget holds at every moment, whatever pods and kubelets do.

A miniature of the protocol: a document that pods take late or never, pods that start, drain,
are killed or fall silent, transactions that keep connections open, and an operator that
divides. After every single step the connections that are open are added up.

There is room for as many pods as may be new at once, `replicas` and one that surges: a step
in which more of them have something open is not judged.
"""

import random
from dataclasses import dataclass, field

import pytest

from sluice_operator.decide import budget as rules
from sluice_operator.decide.budget import Member, Memory, Question
from sluice_proxy.config import Fleet, PodShare
from sluice_proxy.targets.capacity import pod_limit


@dataclass
class SimulatedPod:
    """A pod: which of the documents it has read, and what it has open.

    It `knows` the budget once it may open something.
    """

    name: str
    document: int
    running: bool = False
    terminating: bool = False
    draining: bool = False
    silent: bool = False
    knows: bool = False
    open: int = 0
    busy: int = 0
    limit: int = 0


@dataclass
class World:
    """The cluster around one proxy; `documents` are all that were ever written."""

    dice: random.Random
    budget: int
    replicas: int
    documents: list[Fleet] = field(default_factory=list)
    pods: list[SimulatedPod] = field(default_factory=list)
    ghosts: list[tuple[SimulatedPod, float]] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    deployed: int = 0
    made: int = 0
    now: float = 0.0
    settled: bool = False

    def open(self) -> int:
        return sum(pod.open for pod in self.pods) + sum(ghost.open for ghost, _ in self.ghosts)

    # The operator

    def operate(self) -> None:
        division = rules.divide(
            Question(
                replicas=self.replicas,
                budget=self._known_budget(),
                fleet=self.documents[-1] if self.documents else Fleet(),
                members=tuple(self._member(pod) for pod in self.pods),
                memory=self.memory,
                now=self.now,
            )
        )
        self.memory, self.settled = division.memory, division.settled
        if not self.documents or division.fleet != self.documents[-1]:
            self.documents.append(division.fleet)
        if division.fits or not self.deployed or self.replicas < self.deployed:
            self.deployed = self.replicas

    def _known_budget(self) -> int | None:
        known = any(pod.running and not pod.silent and pod.knows for pod in self.pods)
        return self.budget if known else None

    def _member(self, pod: SimulatedPod) -> Member:
        answers = pod.running and not pod.silent
        return Member(
            name=pod.name,
            running=pod.running,
            terminating=pod.terminating,
            limit=pod.limit if answers else None,
            open=pod.open if answers else 0,
            current=answers and (pod.draining or pod.document == len(self.documents) - 1),
        )

    # The cluster

    def step(self) -> None:
        self.now += 0.1
        self.ghosts = [(pod, end) for pod, end in self.ghosts if end > self.now]
        self._control()
        for pod in list(self.pods):
            self._live(pod)

    def _control(self) -> None:
        """The ReplicaSet's controller: replaces what terminates, takes the newest away."""
        alive = [pod for pod in self.pods if not pod.terminating]
        for _ in range(self.deployed - len(alive)):
            self.start()
        for pod in alive[self.deployed :]:
            pod.terminating = True

    def start(self) -> None:
        self.made += 1
        self.pods.append(SimulatedPod(f"p{self.made}", len(self.documents) - 1))

    def _live(self, pod: SimulatedPod) -> None:
        dice = self.dice
        if not pod.running:
            pod.running = dice.random() < 0.3
        elif pod.draining and pod.busy == 0 and dice.random() < 0.3:
            self.pods.remove(pod)
            return
        pod.draining = pod.draining or (pod.terminating and dice.random() < 0.2)
        if pod.running:
            self._read(pod)
            self._work(pod)

    def _read(self, pod: SimulatedPod) -> None:
        if not pod.terminating and self.dice.random() < 0.3:
            pod.document = len(self.documents) - 1
        told = pod_limit(self.documents[pod.document], pod.name, self.budget)
        # One more than it needs now is for its clients that begin a transaction later.
        pod.limit = min(pod.limit, pod.open + 1) if pod.draining else told
        pod.knows = pod.knows or pod.limit > 0

    def _work(self, pod: SimulatedPod) -> None:
        dice = self.dice
        pod.busy = max(0, min(pod.busy, pod.open) - (dice.random() < 0.3) * dice.randrange(4))
        pod.open = max(pod.busy, min(pod.open, pod.limit))
        if dice.random() < 0.7:
            pod.open = max(pod.open, pod.limit)
            pod.busy = dice.randint(pod.busy, pod.open)


def trouble(world: World, dice: random.Random) -> None:
    """One thing that happens to clusters."""
    deed = dice.randrange(6)
    if deed == 0:
        world.replicas = dice.randint(1, 5)
    elif deed == 1 and world.documents:  # a rollout: one surges, then another goes
        world.start()
    elif deed in (2, 3) and world.pods:
        dice.choice(world.pods).terminating = True
    elif deed == 4 and world.pods:
        pod = dice.choice(world.pods)
        pod.silent = not pod.silent
    elif known := [pod for pod in world.pods if pod.name in world.memory.ceilings]:
        # Deleted by force: the object is gone, the process is not.
        killed = dice.choice(known)
        world.pods.remove(killed)
        world.ghosts.append((killed, world.now + dice.random() * rules.HOLD_SECONDS * 0.9))


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("budget", [7, 15, 90, 450])
def test_the_budget_holds_at_every_moment(seed: int, budget: int) -> None:
    dice = random.Random(seed)
    world = World(dice, budget, replicas=dice.randint(1, 3))
    for number in range(400):
        if dice.random() < 0.5:
            world.operate()
        world.step()
        starters = sum(pod.open > named(world).get(pod.name, -1) for pod in world.pods)
        if starters <= world.replicas + 1:
            assert world.open() <= max(budget, starters), (number, world.pods, world.documents[-2:])
        if dice.random() < 0.05 and rules.smallest_budget(5) <= budget:
            trouble(world, dice)


def named(world: World) -> dict[str, int]:
    """What the newest document gives to each pod that it names."""
    return {item.pod: item.share for item in world.documents[-1].shares} if world.documents else {}


@pytest.mark.parametrize("budget", [15, 90, 450])
@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_a_fleet_at_rest_has_almost_all_of_it(budget: int, replicas: int) -> None:
    world = World(random.Random(budget), budget, replicas)
    until_rest(world)
    documents = len(world.documents)
    for _ in range(100):
        world.operate()
    assert len(world.documents) == documents


@pytest.mark.parametrize("budget", [15, 90, 450])
@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_a_fleet_that_died_comes_back(budget: int, replicas: int) -> None:
    """All had been given to pods of which none is left."""
    world = World(random.Random(budget), budget, replicas)
    world.documents.append(Fleet(total=budget, shares=(PodShare("gone", budget),)))
    until_rest(world)


def until_rest(world: World) -> None:
    for _ in range(300):
        world.operate()
        world.step()
    assert world.settled
    starters = (world.replicas + 1) * rules.starters_share(world.budget, world.replicas)
    assert sum(pod.limit for pod in world.pods) == world.budget - starters
