"""Whatever dies while a proxy sleeps, wakes or serves: its next clients are served all the same.

Each test kills one thing and leaves the cluster as it was. Clients that come when nothing can
be done for them hear why, in words, when their 30 seconds are over.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from kube.client import Cluster

from sluice_testing import chart, pausing
from sluice_testing.api import Watch
from sluice_testing.chart import OPERATOR, SYSTEM
from sluice_testing.kubernetes import Manifest, eventually
from sluice_testing.node import signal_pod, stopped
from sluice_testing.pausing import CLIENTS, Sleeper, put_to_sleep, until_serving
from sluice_testing.pods import PASSWORD_FILE
from sluice_testing.raw import SSL_REQUEST, Message, startup
from sluice_testing.streams import Stream, streaming, until_served

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

REAL_CLIENT = startup(user="app", database="postgres")
PATIENCE = 45.0
"""Longer than a client is held."""
CANNOT_CONNECT_NOW = "57P03"
SOME_CLIENTS = 40
NOWHERE = {"example.com/place": "nowhere"}
API_SERVER = "kube-apiserver"
API_AWAY_SECONDS = 20.0
COMES_AFTER = 15.0


@pytest.fixture(scope="module")
def built(operator: Cluster, database: str) -> Iterator[Sleeper]:
    with pausing.sleeper(operator, database) as sleeper:
        yield sleeper


@pytest.fixture
def sleeper(built: Sleeper) -> Sleeper:
    """Awake, with one pod."""
    built.namespace.apply(pausing.proxy(built.namespace))
    eventually(lambda: built.namespace.answers(CLIENTS), "it serves")
    with built.watched() as watch:
        watch.until(lambda there: len(there) == 1, "one pod and none that is ending", 120)
        until_serving(watch, 1)
    return built


@contextlib.contextmanager
def client(sleeper: Sleeper, kind: str = "tls", after: float = 0.0) -> Iterator[Future[Any]]:
    """One client that comes `after` so many seconds, while this context lasts: what it saw."""
    program = f"python3 /clients/first_row.py --kind={kind} --password-file={PASSWORD_FILE}"
    command = ("exec", CLIENTS, "--", "sh", "-c", f"sleep {after}; exec {program}")
    with ThreadPoolExecutor(1) as background:
        yield background.submit(lambda: json.loads(sleeper.namespace.kubectl(*command)))


def assert_served(told: dict[str, Any]) -> None:
    assert "error" not in told, told
    assert "first_row" in told


@contextlib.contextmanager
def without_operator(cluster: Cluster) -> Iterator[None]:
    here = ("-n", SYSTEM)
    cluster.kubectl(*here, "scale", OPERATOR, "--replicas=0")
    gone = ("wait", "--for=delete", "pod", "-l", chart.OPERATOR_PODS, "--timeout=60s")
    try:
        cluster.kubectl(*here, *gone)
        yield
    finally:
        cluster.kubectl(*here, "scale", OPERATOR, "--replicas=2")
        chart.until_rolled_out(cluster)
        chart.leader(cluster)


def test_without_an_operator(operator: Cluster, sleeper: Sleeper) -> None:
    """Race 15: a proxy that runs goes on, one that sleeps wakes; nothing else is needed."""
    with sleeper.watched() as watch, without_operator(operator):
        assert sleeper.namespace.answers(CLIENTS)
        put_to_sleep(sleeper, watch)
        with client(sleeper) as told:
            assert_served(told.result())
        until_serving(watch, 1)
        with streaming(operator, Stream(sleeper.namespace.name, CLIENTS)) as seen:
            until_served(seen, SOME_CLIENTS)
            sleeper.scale(0)
            until_served(seen, SOME_CLIENTS)
            until_serving(watch, 1)
        assert [str(failure) for failure in seen.failures] == []


def listed_activators(sleeper: Sleeper) -> set[str]:
    return {way.host for way in sleeper.ways()}


def test_an_activator_is_killed(operator: Cluster, sleeper: Sleeper) -> None:
    """Race 13: new clients come to the other one, as soon as the slice no longer lists it."""
    eventually(lambda: len(listed_activators(sleeper)) == 2, "no former ones are listed")
    with sleeper.watched() as watch:
        put_to_sleep(sleeper, watch)
        victim = sleeper.activators()[0]
        address = (operator_pod(operator, victim))["status"]["podIP"]
        force = ("--grace-period=0", "--force")
        operator.kubectl("-n", SYSTEM, "delete", "pod", victim, *force)
        eventually(lambda: address not in listed_activators(sleeper), "it is listed no more", 10)
        with client(sleeper) as told:
            assert_served(told.result())
        until_serving(watch, 1)
    chart.until_rolled_out(operator)
    eventually(lambda: len(listed_activators(sleeper)) == 2, "both are listed")


def operator_pod(cluster: Cluster, name: str) -> Manifest:
    found: Manifest = json.loads(cluster.kubectl("-n", SYSTEM, "get", "pod", name, "-o", "json"))
    return found


def test_the_activators_are_rolled_out(operator: Cluster, sleeper: Sleeper) -> None:
    """Race 12: a new one is in every slice before an old one goes, which takes its time.

    All the while the proxy is scaled to 0 under its clients, so that they need an activator.
    """
    here = ("-n", SYSTEM)
    old = set(sleeper.activators())
    with (
        sleeper.watched() as watch,
        streaming(operator, Stream(sleeper.namespace.name, CLIENTS)) as told,
    ):
        operator.kubectl(*here, "rollout", "restart", chart.ACTIVATORS)
        while old & set(sleeper.activators()):
            force_to_zero(sleeper, watch)
        force_to_zero(sleeper, watch)
        until_served(told, SOME_CLIENTS)
    assert [str(failure) for failure in told.failures] == []
    chart.until_rolled_out(operator)


def force_to_zero(sleeper: Sleeper, watch: Watch) -> None:
    """Returns when another pod serves: with a share of the budget, whoever still holds the rest.

    It may be told to go before the operator has seen it.
    """
    first = until_serving(watch, 1)
    sleeper.scale(0)
    until_serving(watch, 1, but=first)


def test_the_pod_is_killed_while_it_wakes(operator: Cluster, sleeper: Sleeper) -> None:
    """State Waking; Races 10 and 22: its client is held for the pod that takes its place."""
    with sleeper.watched() as watch:
        put_to_sleep(sleeper, watch)
        with client(sleeper) as told:
            (name,) = watch.until(names_of, "a pod is made", 30)
            force = ("--grace-period=0", "--force")
            sleeper.namespace.kubectl("delete", "pod", name, *force)
            assert_served(told.result())
        until_serving(watch, 1)


def names_of(there: dict[str, Manifest]) -> list[str]:
    return [pod["metadata"]["name"] for pod in there.values()]


def test_the_process_of_the_only_pod_is_killed(
    operator: Cluster, sleeper: Sleeper, capsys: pytest.CaptureFixture[str]
) -> None:
    """State Running; Race 22: until the kubelet knows of it nobody can; then clients are held."""
    with sleeper.watched() as watch:
        (uid,) = until_serving(watch, 1)
        with streaming(operator, Stream(sleeper.namespace.name, CLIENTS)) as told:
            until_served(told, SOME_CLIENTS)
            killed = time.time()
            signal_pod(operator, uid, "KILL")
            until_restarted(watch, uid)
            until_serving(watch, 1)
            until_served(told, SOME_CLIENTS)
    with capsys.disabled():
        late = sorted(round(failure.begun - killed, 2) for failure in told.failures)
        print(f"\n  a proxy killed: {len(late)} clients failed, begun after {late[:1]}…{late[-1:]}")
    assert [str(failure) for failure in told.failures if failure.begun > killed + 5] == []


def until_restarted(watch: Watch, uid: str) -> None:
    def look(there: dict[str, Manifest]) -> bool:
        return any(one["restartCount"] for one in there[uid]["status"]["containerStatuses"])

    watch.until(look, "its container is started again", 60)


def error(told: dict[str, Any]) -> dict[str, str]:
    """The fields of the one ErrorResponse that was the answer, before the end."""
    answer = bytes.fromhex(told["answer"])
    assert answer[:1] == b"E", told
    assert told["closed"], told
    assert int.from_bytes(answer[1:5]) == len(answer) - 1, told
    return Message("E", answer[5:]).fields


def told_why(sleeper: Sleeper, *words: str) -> None:
    """A client without TLS hears why its pods do not come; one that asks for TLS hears nothing."""
    with ThreadPoolExecutor(2) as clients:
        plain = clients.submit(sleeper.knock, REAL_CLIENT, PATIENCE)
        crypted = clients.submit(sleeper.knock, SSL_REQUEST, PATIENCE)
        found, silent = error(plain.result()), crypted.result()
    assert (found["S"], found["C"]) == ("FATAL", CANNOT_CONNECT_NOW)
    assert all(word in found["M"] for word in words), found
    assert silent["answer"] == ""
    assert silent["closed"]


def test_no_node_takes_its_pods(sleeper: Sleeper) -> None:
    """State Waking, late: never back to sleep for a failure; once repaired it serves by itself."""
    with sleeper.watched() as watch:
        put_to_sleep(sleeper, watch)
        nowhere = pausing.proxy(sleeper.namespace, podTemplate__nodeSelector=NOWHERE)
        sleeper.namespace.apply(nowhere)
        sleeper.namespace.until("Progressing", "False")
        told_why(sleeper, "node")
        assert sleeper.replicas() == 1
        sleeper.namespace.apply(pausing.proxy(sleeper.namespace))
        until_serving(watch, 1)
        assert sleeper.namespace.answers(CLIENTS)


def test_its_image_is_not_to_be_had(operator: Cluster, sleeper: Sleeper) -> None:
    """State Waking, late: as above, of the image."""
    with sleeper.watched() as watch:
        put_to_sleep(sleeper, watch)
        try:
            chart.install(operator, values={"proxy": {"image": {"tag": "of-nobody"}}})
            eventually(lambda: "of-nobody" in image_of(sleeper), "the image is another")
            assert watch.there() == {}
            told_why(sleeper, "image")
            assert sleeper.replicas() == 1
        finally:
            chart.install(operator)
        until_serving(watch, 1, seconds=120)
        assert sleeper.namespace.answers(CLIENTS)


def image_of(sleeper: Sleeper) -> str:
    deployment = sleeper.namespace.get("deployment", "orders-proxy") or {}
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def test_it_is_deleted_while_clients_are_held(operator: Cluster, database: str) -> None:
    """Race 18: they are told at once, and do not wait for their 30 seconds to be over."""
    with pausing.sleeper(operator, database) as sleeper, sleeper.watched() as watch:
        put_to_sleep(sleeper, watch)
        nowhere = pausing.proxy(sleeper.namespace, podTemplate__nodeSelector=NOWHERE)
        sleeper.namespace.apply(nowhere)
        with ThreadPoolExecutor(1) as clients:
            held = clients.submit(sleeper.knock, REAL_CLIENT, PATIENCE)
            watch.until(bool, "it wakes", 30)
            sleeper.namespace.kubectl("delete", "databaseproxy", "orders")
            told = held.result()
        assert error(told)["C"] == CANNOT_CONNECT_NOW
        assert told["after"] < PATIENCE / 2


def test_the_api_server_is_away(operator: Cluster, sleeper: Sleeper, database: str) -> None:
    """Race 16: who runs goes on, who sleeps has its clients held, and wakes when it is back."""
    with pausing.sleeper(operator, database) as other, other.watched() as watch:
        put_to_sleep(other, watch)
        other.namespace.until_phase("Paused")
        with (
            streaming(operator, Stream(sleeper.namespace.name, CLIENTS)) as told,
            client(other, after=COMES_AFTER) as held,
        ):
            until_served(told, SOME_CLIENTS)
            with stopped(operator, API_SERVER):
                time.sleep(API_AWAY_SECONDS)
            back = time.time()
            seen = held.result()
        assert_served(seen)
        assert seen["syn"] < back < seen["first_row"]
        assert [str(failure) for failure in told.failures] == []
    operator.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")
    chart.until_rolled_out(operator)
    chart.leader(operator)
