"""What dies beside a proxy that runs, falls asleep or wakes; tests/cluster kills the same for real.

docs/scale-to-zero.md names these tests, state by state.
"""

from dataclasses import replace

import pytest

from sluice_testing.activating import PROXY, Sleeping
from sluice_testing.door import Door
from sluice_testing.proxy import wait_until
from sluice_testing.raw import startup
from sluice_testing.slices_api import Scale

LINGER_SECONDS = 6


@pytest.fixture
def running(sleeping: Sleeping) -> Sleeping:
    """One pod that is ready, as the scale says."""
    sleeping.start_pods()
    sleeping.api.scales[PROXY] = Scale(replicas=1)
    return sleeping


@pytest.fixture
def draining(sleeping: Sleeping) -> Sleeping:
    """Scaled to zero; the pod goes on for a while, and none comes in its place."""
    sleeping.config = replace(sleeping.config, linger_seconds=LINGER_SECONDS, drain_seconds=60)
    sleeping.start_pods()
    sleeping.tell(terminating=list(sleeping.pods))
    for pod in sleeping.pods.values():
        pod.terminate()
    sleeping.wakes_up = False
    return sleeping


def raised(sleeping: Sleeping) -> bool:
    return sleeping.api.scales[PROXY].replicas == 1


def test_an_activator_dies_while_pods_are_up(running: Sleeping) -> None:
    """State Running; Race 13: who went through it is lost, and nobody else."""
    [(address, pod)] = running.pods.items()
    second = running.start_activator("127.0.0.2")
    with running.door.raw() as through, Door(address, pod.port, running.ca_file).raw() as direct:
        running.activator.kill()
        with pytest.raises((ConnectionError, EOFError)):
            through.value("SELECT 1")
        assert direct.value("SELECT 1") == "1"
        with running.door_of(second).raw() as late:
            assert late.value("SELECT 1") == "1"
    assert running.api.asked("PATCH") == 0


def test_the_only_pod_dies(running: Sleeping) -> None:
    """State Running; Race 22: nobody has noticed yet; its next client waits for the next pod."""
    [pod] = running.pods.values()
    pod.kill()
    with running.door.knock() as client:
        client.send(startup(user="app", database="app"))
        wait_until(lambda: running.api.asked("GET"), "the scale is looked at")
        running.activator.wait_for(held=1)
        running.start_pods()
        assert client.read().kind == "R"
    assert running.api.asked("PATCH") == 0


def test_an_activator_dies_while_pods_end(draining: Sleeping) -> None:
    """State Draining: the other one brings clients to the pod, and wakes."""
    second = draining.start_activator("127.0.0.2")
    draining.activator.kill()
    with draining.door_of(second).raw() as client:
        assert client.value("SELECT 1") == "1"
        wait_until(lambda: raised(draining), "the scale is raised")


def test_the_pods_that_end_are_killed(draining: Sleeping) -> None:
    """State Draining: they are still told of, but do not answer."""
    draining.wakes_up = True
    for pod in draining.pods.values():
        pod.kill()
    with draining.door.raw() as client:
        assert client.value("SELECT 1") == "1"
    assert raised(draining)


def test_the_api_server_goes_while_pods_end(draining: Sleeping) -> None:
    """State Draining: they serve; who comes when it is back wakes the proxy."""
    draining.api.stop()
    with draining.door.raw() as client:
        assert client.value("SELECT 1") == "1"
        draining.api.start()
        assert not raised(draining)
        with draining.door.raw() as late:
            assert late.value("SELECT 1") == "1"
            wait_until(lambda: raised(draining), "the scale is raised")


def test_the_api_server_goes_once_the_scale_is_raised(sleeping: Sleeping) -> None:
    """State Waking: no slice tells of the pod, so it tells by itself."""
    sleeping.wakes_up = False
    with sleeping.door.knock() as client:
        client.send(startup(user="app", database="app"))
        wait_until(lambda: raised(sleeping), "the scale is raised")
        sleeping.api.stop()
        sleeping.start_pods()
        [address] = sleeping.pods
        sleeping.activator.say_hello(address)
        assert client.read().kind == "R"
        sleeping.api.start()
