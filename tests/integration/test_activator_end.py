"""An activator that is told to end: a lame duck, until nobody needs it any more."""

import signal

import pytest

from sluice_testing.activating import PROXY, Sleeping
from sluice_testing.proxy import wait_until
from sluice_testing.raw import startup
from sluice_testing.slices_api import ACTIVATOR


def readiness(sleeping: Sleeping) -> tuple[int, str]:
    answer = sleeping.activator.get("/readyz")
    return answer.status, answer.text.strip()


def test_it_goes_when_nobody_is_left(sleeping: Sleeping) -> None:
    sleeping.activator.terminate()
    assert sleeping.activator.wait() == 0


def test_until_then_it_holds_wakes_and_serves(sleeping: Sleeping) -> None:
    """SIGTERM fails readiness, and nothing else."""
    with sleeping.door.raw() as early:
        sleeping.activator.terminate()
        wait_until(lambda: readiness(sleeping) == (503, "draining"), "it is not ready")
        sleeping.kill_pods()
        with sleeping.door.raw() as late:
            assert late.value("SELECT 1") == "1"
            assert sleeping.api.scales[PROXY].replicas == 1
            early.close()
            with pytest.raises(AssertionError):
                wait_until(lambda: not sleeping.activator.running, "it ends", 1.5)
    assert sleeping.activator.wait() == 0


def test_it_waits_until_no_client_is_sent_to_it_any_more(sleeping: Sleeping) -> None:
    """The operator that writes the slices may be late, or away."""
    sleeping.wakes_up = False
    activator = sleeping.start_activator("127.0.0.2", SLUICE_POD_IP=ACTIVATOR)
    activator.terminate()
    with pytest.raises(AssertionError):
        wait_until(lambda: not activator.running, "it ends", 1.5)
    with sleeping.door_of(activator).knock() as client:
        client.send(startup(user="app", database="app"))
        activator.wait_for(held=1)
    sleeping.register(serving=False)
    assert activator.wait() == 0


@pytest.mark.parametrize("status", [401, 403])
def test_it_does_not_wait_for_slices_that_it_may_not_see(sleeping: Sleeping, status: int) -> None:
    """As when the release was removed, and its account: nobody changes them any more.

    The watch that it has would go on for minutes: it begins anew.
    """
    activator = sleeping.start_activator("127.0.0.2", SLUICE_POD_IP=ACTIVATOR)
    sleeping.api.refusals["endpointslices"] = status
    activator.terminate()
    assert activator.wait() == 0


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
def test_in_a_hurry_it_cuts_off_whoever_is_there(
    sleeping: Sleeping, signals: list[signal.Signals]
) -> None:
    sleeping.wakes_up = False
    with sleeping.door.knock() as client:
        client.send(startup(user="app", database="app"))
        sleeping.activator.wait_for(held=1)
        for number in signals:
            sleeping.activator.terminate(number)
            wait_until(lambda: "draining" in sleeping.activator.log, "it has heard")
        assert client.read().fields["M"].endswith("shuts down")
    assert sleeping.activator.wait() == 0
