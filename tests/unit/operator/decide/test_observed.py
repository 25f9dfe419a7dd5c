"""A Pod as we need it, from the one that the API server shows."""

from typing import Any

import pytest

from sluice_operator.decide.observed import Pod, pod, secret_data

SHOWN: dict[str, Any] = {
    "metadata": {
        "name": "p",
        "uid": "u",
        "creationTimestamp": "2027-01-15T08:00:00Z",
        "annotations": {"sluice.dev/config-hash": "abc-1"},
    },
    "spec": {
        "initContainers": [{"name": "mesh", "image": "mesh:2"}],
        "containers": [{"name": "proxy", "image": "proxy:2"}],
    },
    "status": {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {"name": "proxy", "ready": True, "state": {"running": {}}, "restartCount": 2}
        ],
    },
}


def test_a_pod() -> None:
    assert pod(SHOWN) == Pod(
        "p", "10.0.0.1", True, False, "abc-1",
        uid="u", created="2027-01-15T08:00:00Z", phase="Running", running=True, restarts=2,
    )  # fmt: skip
    assert pod(SHOWN).serving


def test_a_pod_that_was_just_created() -> None:
    found = pod({"metadata": {"name": "p"}})
    assert found == Pod("p", "", False, False, "")
    assert not found.serving


def test_a_pod_on_its_way_out_runs_on_and_serves_nobody_new() -> None:
    leaving = {**SHOWN, "metadata": {**SHOWN["metadata"], "deletionTimestamp": "now"}}
    assert pod(leaving).running
    assert not pod(leaving).serving


def test_the_trouble_of_a_container_beside_ours_counts() -> None:
    state = {"waiting": {"reason": "ErrImagePull", "message": "no"}}
    # What it ran before it was given another image.
    sidecar = {"name": "mesh", "image": "mesh:1", "state": state}
    status = {**SHOWN["status"], "initContainerStatuses": [sidecar]}
    found = pod({**SHOWN, "status": status})
    assert (found.image, found.waiting_reason, found.waiting_message) == (
        "mesh:2", "ErrImagePull", "no",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("secret", "data"),
    [({}, {}), ({"data": None}, {}), ({"data": {"a": "Yg==", "c": "d"}}, {"a": b"b", "c": b""})],
)
def test_the_data_of_a_secret(secret: dict[str, Any], data: dict[str, bytes]) -> None:
    assert secret_data(secret) == data
