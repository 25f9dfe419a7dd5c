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
from sluice_proxy.config import Fleet, PodShare, kept
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
    seen: bool = False
    open: int = 0
    busy: int = 0
    limit: int = 0


@dataclass
class World:
    """The cluster around one proxy; `documents` are all that were ever written.

    `starved` are pods that served and were left with nothing.
    """

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
    asleep: bool = False
    finished: set[str] = field(default_factory=set)
    starved: list[str] = field(default_factory=list)

    def open(self) -> int:
        return sum(pod.open for pod in self.pods) + sum(ghost.open for ghost, _ in self.ghosts)

    # The operator

    def looked(self) -> list[Fleet]:
        """What a look of now leads to, which is not written yet."""
        before = list(self.documents)
        self.operate()
        found, self.documents = self.documents[len(before) :], before
        return found

    def operate(self) -> None:
        division = rules.divide(
            Question(
                replicas=self.replicas,
                budget=self._known_budget(),
                fleet=self.documents[-1] if self.documents else Fleet(),
                members=tuple(self._member(pod) for pod in self.pods if pod.seen),
                memory=self.memory,
                now=self.now,
                asleep=bool(self.documents) and self.deployed == 0,
                finished=frozenset(self.finished),
            )
        )
        self.memory, self.settled = division.memory, division.settled
        if not self.documents or division.fleet != self.documents[-1]:
            self.documents.append(division.fleet)
        if self.asleep:
            return
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

    def is_calm(self) -> bool:
        """All pods serve, as whoever pauses a proxy wants it."""
        return all(pod.running and not pod.terminating for pod in self.pods)

    def pause(self) -> None:
        self.asleep, self.deployed = True, 0

    def wake(self) -> None:
        """As an activator does: the operator may learn of it much later."""
        self.asleep, self.deployed = False, self.replicas

    def start(self) -> None:
        self.made += 1
        self.pods.append(SimulatedPod(f"p{self.made}", len(self.documents) - 1))

    def _live(self, pod: SimulatedPod) -> None:
        dice = self.dice
        if not pod.running:
            pod.running = pod.seen and dice.random() < 0.3
            if not pod.seen and dice.random() < 0.5:
                # Its event comes late, too, but sooner than volumes and containers.
                pod.seen, pod.document = True, len(self.documents) - 1
        elif pod.draining and pod.busy == 0 and dice.random() < 0.3:
            self.pods.remove(pod)
            self.finished.add(pod.name)
            return
        pod.draining = pod.draining or (pod.terminating and dice.random() < 0.2)
        if pod.running:
            self._read(pod)
            self._work(pod)

    def _read(self, pod: SimulatedPod) -> None:
        if not pod.terminating and self.dice.random() < 0.3:
            pod.document = len(self.documents) - 1
        told = pod_limit(self.documents[pod.document], pod.name, self.budget, kept(pod.limit))
        if pod.limit and not (told or pod.terminating):
            self.starved.append(pod.name)
        # One more than it needs now is for its clients that begin a transaction later.
        pod.limit = min(pod.limit, pod.open + 1) if pod.draining else told
        pod.knows = pod.knows or pod.limit > 0

    def _work(self, pod: SimulatedPod) -> None:
        dice = self.dice
        pod.busy = max(0, min(pod.busy, pod.open) - (dice.random() < 0.3) * dice.randrange(4))
        pod.busy = pod.busy // 2 if self.asleep else pod.busy
        pod.open = max(pod.busy, min(pod.open, pod.limit))
        # It is put to sleep because nobody comes any more.
        if not self.asleep and dice.random() < 0.7:
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


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("budget", [7, 15, 90, 450])
@pytest.mark.parametrize("diligence", [0.02, 0.5])
def test_the_budget_holds_for_who_sleeps_and_wakes(
    seed: int, budget: int, diligence: float
) -> None:
    """Pods that are woken begin by what the document says, whether an operator looks or not."""
    dice = random.Random(seed)
    world = World(dice, budget, replicas=dice.randint(1, 3))
    world.operate()
    woken = 0
    for number in range(900):
        if dice.random() < diligence:
            world.operate()
        world.step()
        assert world.open() <= max(budget, len(world.pods)), (number, world.pods, world.documents)
        if world.asleep and dice.random() < 0.1:
            world.wake()
            woken += 1
        elif not world.asleep and dice.random() < 0.03:
            # Who pauses is the operator, and never while something is on its way.
            world.operate()
            if world.settled and world.documents[-1].total and world.is_calm():
                world.pause()
    assert woken


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("budget", [7, 20, 90])
def test_a_document_stays_while_nothing_happens(seed: int, budget: int) -> None:
    """Whoever divides the same again comes to the same, or pods would be told without end."""
    dice = random.Random(seed)
    world = World(dice, budget, replicas=dice.randint(1, 3))
    for _ in range(200):
        if dice.random() < 0.3:
            for _ in range(6):
                world.operate()
            documents = len(world.documents)
            world.operate()
            assert len(world.documents) == documents, world.documents[-3:]
        world.step()
        if world.asleep and dice.random() < 0.1:
            world.wake()
        elif not world.asleep and dice.random() < 0.03:
            world.pause()


@pytest.mark.parametrize("budget", [20, 90, 450])
@pytest.mark.parametrize("replicas", [1, 2, 4])
@pytest.mark.parametrize("drained", [True, False])
def test_who_is_woken_never_has_to_give_all_of_it_back(
    budget: int, replicas: int, drained: bool
) -> None:
    """Clients wait for it: however soon after the pause it is woken, whoever looks."""
    world = World(random.Random(budget), budget, replicas)
    until_rest(world)
    world.pause()
    while world.pods and drained:
        world.operate()
        world.step()
    world.operate()
    before = {pod.name for pod in world.pods}
    world.wake()
    for _ in range(300):
        world.operate()
        world.step()
        fresh = [pod for pod in world.pods if pod.running and pod.name not in before]
        assert all(pod.limit for pod in fresh), world.documents[-3:]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("budget", [7, 20, 90])
def test_a_pod_that_serves_is_never_left_without_a_connection(seed: int, budget: int) -> None:
    """Others scale it to zero and wake it all the time, while one look takes up to a second."""
    dice = random.Random(seed)
    world = World(dice, budget, replicas=1)
    until_rest(world)
    written, due = world.looked(), 0
    for number in range(600):
        if number >= due:
            world.documents += written
            written, due = world.looked(), number + dice.randrange(1, 11)
        world.step()
        assert not world.starved, world.documents[-3:]
        if world.asleep and dice.random() < 0.5:
            world.wake()
        elif any(pod.limit and not pod.terminating for pod in world.pods) and dice.random() < 0.4:
            world.pause()


@pytest.mark.parametrize("budget", [15, 90, 450])
@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_who_wakes_without_an_operator_has_most_of_the_budget(budget: int, replicas: int) -> None:
    """All but the part of one pod, which may come beside those that are woken."""
    world = World(random.Random(budget), budget, replicas)
    until_rest(world)
    world.pause()
    for _ in range(300):
        world.operate()
        world.step()
    documents = len(world.documents)
    world.wake()
    for _ in range(100):
        world.step()
    assert [pod.limit for pod in world.pods] == [budget // (replicas + 1)] * replicas
    assert len(world.documents) == documents


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_an_operator_that_looks_leaves_the_document_to_those_that_wake(replicas: int) -> None:
    """Else they would read one by which they have next to nothing, while clients wait."""
    world = World(random.Random(replicas), 90, replicas)
    until_rest(world)
    world.pause()
    for _ in range(300):
        world.operate()
        world.step()
    documents = len(world.documents)
    world.wake()
    while not all(pod.running for pod in world.pods) or len(world.pods) < replicas:
        world.operate()
        assert len(world.documents) == documents
        world.step()
    assert [pod.limit for pod in world.pods] == [90 // (replicas + 1)] * replicas
    until_rest(world)


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
