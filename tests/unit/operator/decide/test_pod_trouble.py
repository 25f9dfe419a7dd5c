"""Why pods do not come up: from Pods as the API server shows them to a sentence."""

from typing import Any

import pytest

from sluice_operator.decide.observed import Pod, pod
from sluice_operator.decide.pod_trouble import pod_trouble
from sluice_testing.seen import deployment, with_condition

IMAGE = "registry.example/sluice-proxy:9"


def a_pod(name: str = "p", *containers: dict[str, Any], **more: Any) -> Pod:
    status = {"phase": "Pending", "containerStatuses": list(containers), **more}
    spec = {"containers": [{"name": "proxy", "image": IMAGE}]}
    return pod({"metadata": {"name": name}, "spec": spec, "status": status})


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": "proxy", "state": state, **more}


def ended(reason: str, code: int) -> dict[str, Any]:
    return {"terminated": {"reason": reason, "exitCode": code}}


def unscheduled(reason: str, message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return {"conditions": [condition]}


@pytest.mark.parametrize(
    ("one", "reason", "begin"),
    [
        (a_pod("p", waiting("ErrImagePull", "not found.")),
         "ImagePullFailed", f"image {IMAGE}: not found: correct the image"),
        (a_pod("p", waiting("ImagePullBackOff",
               f'Back-off pulling image "{IMAGE}": ErrImagePull: not found')),
         "ImagePullFailed", f"image {IMAGE}: not found: correct the image"),
        (a_pod("p", waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"')),
         "ImagePullFailed", f'image {IMAGE}: Back-off pulling image "{IMAGE}": correct'),
        (a_pod("p", waiting("InvalidImageName")),
         "ImagePullFailed", f"image {IMAGE}: InvalidImageName: "),
        (a_pod("p", waiting("ErrImageNeverPull")), "ImagePullFailed", f"image {IMAGE}: "),
        (a_pod("p", waiting("CreateContainerConfigError", "secret \"x\" not found")),
         "PodsNotStarting", 'pod p: CreateContainerConfigError: secret "x" not found: '),
        (a_pod("p", waiting("RunContainerError", "")),
         "PodsNotStarting", "pod p: RunContainerError: correct"),
        (a_pod("p", waiting("CrashLoopBackOff", "back-off 40s", restartCount=3,
               lastState=ended("OOMKilled", 137))),
         "PodsCrashing", "pod p: its container ends with OOMKilled, exit code 137: read"),
        (a_pod("p", waiting("CrashLoopBackOff", "back-off 10s")),
         "PodsCrashing", "pod p: its container ends: read"),
        (a_pod("p", {"name": "proxy", "state": {"running": {}}, "restartCount": 1,
               "lastState": ended("Error", 1)}),
         "PodsCrashing", "pod p: its container ends with Error, exit code 1: "),
        (a_pod("p", {"name": "proxy", "state": ended("Error", 2), "restartCount": 1}),
         "PodsCrashing", "pod p: its container ends with Error, exit code 2: "),
        (a_pod("p", **unscheduled("Unschedulable", "0/3 nodes are available.")),
         "Unschedulable", "pod p: 0/3 nodes are available: add room"),
    ],
)  # fmt: skip
def test_trouble(one: Pod, reason: str, begin: str) -> None:
    found = pod_trouble((one,), deployment())
    assert found is not None
    assert (found.status, found.reason) == ("False", reason)
    assert found.message.startswith(begin)


@pytest.mark.parametrize(
    "one",
    [
        a_pod("p", waiting("ContainerCreating")),
        a_pod("p", waiting("PodInitializing")),
        a_pod("p", {"name": "proxy", "state": {"running": {}}, "restartCount": 0}),
        a_pod("p", **unscheduled("SchedulingGated", "waits")),
        # It is ready: whatever was, is over.
        a_pod("p", {"state": {"running": {}}, "restartCount": 4, "lastState": ended("Error", 1)},
              conditions=[{"type": "Ready", "status": "True"}]),
        # It is on its way out.
        pod({"metadata": {"name": "p", "deletionTimestamp": "now"},
             "status": {"containerStatuses": [waiting("ErrImagePull")]}}),
    ],
)  # fmt: skip
def test_no_trouble(one: Pod) -> None:
    assert pod_trouble((one,), deployment()) is None


def test_what_stops_all_comes_before_what_may_stop_one() -> None:
    full = a_pod("a", **unscheduled("Unschedulable", "full"))
    crashing = a_pod("b", waiting("CrashLoopBackOff"))
    bad_image = a_pod("c", waiting("ErrImagePull"))
    reasons = [
        found.reason
        for pods in ((full,), (full, crashing), (full, crashing, bad_image))
        if (found := pod_trouble(pods, deployment())) is not None
    ]
    assert reasons == ["Unschedulable", "PodsCrashing", "ImagePullFailed"]


def test_of_several_the_same_one_is_named_in_any_order() -> None:
    pods = [a_pod(name, waiting("CrashLoopBackOff")) for name in ("x", "y")]
    assert pod_trouble(pods, None) == pod_trouble(pods[::-1], None)


def test_pods_that_the_api_server_does_not_take() -> None:
    words = 'pods "orders-proxy-1" is forbidden: exceeded quota: small'
    refused = with_condition(
        deployment(), type="ReplicaFailure", status="True", reason="FailedCreate", message=words
    )
    found = pod_trouble((), refused)
    assert found is not None
    assert found.reason == "PodsRefused"
    assert found.message.startswith(f"no pod is created: {words}: raise the quota")


def test_a_long_story_is_cut() -> None:
    found = pod_trouble((a_pod("p", waiting("ErrImagePull", "x" * 5000)),), None)
    assert found is not None
    assert len(found.message) < 1000
