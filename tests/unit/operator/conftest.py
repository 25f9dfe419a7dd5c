"""A reconciler whose API server, pods and clock are in memory."""

import copy

import pytest

from sluice_operator.cluster.objects import Objects
from sluice_operator.cluster.recorder import Recorder
from sluice_operator.cluster.store import Store
from sluice_operator.decide.overcommit import Claims
from sluice_operator.decide.resolve import Installation
from sluice_operator.desired.inputs import ProxyImage
from sluice_operator.reconcile import Reconciler, Surroundings
from sluice_testing.api_server import (
    KEY,
    LOGIN,
    PROXY,
    Api,
    Clock,
    Manifest,
    Pods,
    Standins,
    add_pod,
    config_hash,
    roll_out,
)
from sluice_testing.looks import IDLE, Looks


@pytest.fixture
def api() -> Api:
    return Api(copy.deepcopy(PROXY), copy.deepcopy(LOGIN))


@pytest.fixture
def pods() -> Pods:
    return Pods()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def activators() -> Standins:
    return Standins("10.9.0.1", "10.9.0.2")


@pytest.fixture
def reconciler(
    api: Api, pods: Pods, store: Store, clock: Clock, activators: Standins
) -> Reconciler:
    installation = Installation(
        ProxyImage("sluice/proxy:1"),
        "sluice-system",
        activators="sluice-activator.sluice-system.svc",
        activator_policies=True,
    )
    surroundings = Surroundings(
        Objects(api, store),  # type: ignore[arg-type]
        pods,  # type: ignore[arg-type]
        Claims(),
        Recorder(api, clock),  # type: ignore[arg-type]
        activators,  # type: ignore[arg-type]
    )
    return Reconciler(surroundings, installation, clock)


@pytest.fixture
async def served(api: Api, pods: Pods, store: Store, reconciler: Reconciler) -> Manifest:
    """The DatabaseProxy, for which a pod takes clients."""
    await reconciler.reconcile(KEY)
    add_pod(api, store)
    pods.config_hash = config_hash(api)
    await reconciler.reconcile(KEY)
    assert api.condition("Ready")["reason"] == "Serving"
    api.written.clear()
    return api.objects["DatabaseProxy", *KEY]


@pytest.fixture
async def awake(
    api: Api,
    pods: Pods,
    store: Store,
    clock: Clock,
    activators: Standins,
    reconciler: Reconciler,
) -> Looks:
    """Two pods serve; nobody has been there for long, but for this look."""
    looks = Looks(api, pods, store, clock, activators, reconciler)
    pods.budget = 90
    await looks.look()
    roll_out(api, store)
    await looks.settle()
    pods.idle_seconds = IDLE
    looks.forget_events()
    return looks


@pytest.fixture
async def asleep(awake: Looks) -> Looks:
    """It was paused, and its pods have ended."""
    await awake.look()
    roll_out(awake.api, awake.store)
    await awake.settle()
    assert awake.replicas == 0
    awake.forget_events()
    return awake
