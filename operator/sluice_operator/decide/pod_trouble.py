"""Why pods do not come up, in the words of the kubelet, the scheduler and the API server."""

from collections.abc import Mapping, Sequence
from typing import Any

from sluice_operator.api.conditions import Reason
from sluice_operator.decide.observed import Pod
from sluice_operator.decide.verdict import Verdict, blamed, words

_IMAGE = frozenset(
    (
        *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"),
        *("RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed"),
    )
)
_CRASH = "CrashLoopBackOff"


def pod_trouble(pods: Sequence[Pod], deployment: Mapping[str, Any] | None) -> Verdict | None:
    """What keeps pods from becoming ready; None where nothing is known to.

    What stops all pods comes before what may stop one. The message is the same at each
    look while nothing changes: no counts, no times.
    """
    refused = _condition(deployment, "ReplicaFailure")
    if refused.get("status") == "True":
        said = words(refused.get("message", ""))
        return blamed(Reason.PODS_REFUSED, f"no pod is created: {said}")
    waiting = sorted(
        (pod for pod in pods if not pod.ready and not pod.terminating), key=lambda pod: pod.name
    )
    found = (look(pod) for look in (_image, _start, _crash, _place) for pod in waiting)
    return next(filter(None, found), None)


def is_rolling(deployment: Mapping[str, Any] | None, replicas: int) -> bool:
    """As `kubectl rollout status` asks it; and whether it has less than `replicas` yet."""
    if deployment is None:
        return True
    status = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    observed = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    counts = ("replicas", "updatedReplicas", "availableReplicas")
    return (
        not observed or wanted < replicas or any(status.get(count, 0) != wanted for count in counts)
    )


def is_overdue(deployment: Mapping[str, Any] | None) -> bool:
    """Whether Kubernetes has given the rollout up for lost (`progressDeadlineSeconds`)."""
    progressing = _condition(deployment, "Progressing")
    return progressing.get("reason") == Reason.PROGRESS_DEADLINE_EXCEEDED


def _condition(deployment: Mapping[str, Any] | None, kind: str) -> Mapping[str, Any]:
    found = ((deployment or {}).get("status") or {}).get("conditions") or ()
    return next((item for item in found if item["type"] == kind), {})


def _image(pod: Pod) -> Verdict | None:
    if pod.waiting_reason not in _IMAGE:
        return None
    # Between two tries the kubelet puts its patience before the registry's words.
    said = words(pod.waiting_message.rpartition("ErrImagePull: ")[2]) or pod.waiting_reason
    return blamed(Reason.IMAGE_PULL_FAILED, f"image {pod.image}: {said}")


def _start(pod: Pod) -> Verdict | None:
    if not pod.waiting_reason or pod.waiting_reason == _CRASH or pod.waiting_reason in _IMAGE:
        return None
    said = words(f"{pod.waiting_reason}: {pod.waiting_message}")
    return blamed(Reason.PODS_NOT_STARTING, f"pod {pod.name}: {said}")


def _crash(pod: Pod) -> Verdict | None:
    if pod.waiting_reason != _CRASH and not pod.ended:
        return None
    how = f" with {pod.ended}" if pod.ended else ""
    return blamed(Reason.PODS_CRASHING, f"pod {pod.name}: its container ends{how}")


def _place(pod: Pod) -> Verdict | None:
    if not pod.unschedulable:
        return None
    return blamed(Reason.UNSCHEDULABLE, f"pod {pod.name}: {words(pod.unschedulable)}")
