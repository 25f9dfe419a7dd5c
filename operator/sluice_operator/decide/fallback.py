"""What stands in for a proxy while it has no pod, as its EndpointSlice is to tell it."""

from collections.abc import Mapping
from typing import Any

from sluice_operator import names
from sluice_operator.api.v1alpha1 import Spec
from sluice_operator.decide.observed import Observed
from sluice_operator.decide.pause import scale_of
from sluice_operator.decide.pod_trouble import pod_trouble
from sluice_operator.desired.inputs import Activator, Fallback
from sluice_operator.desired.manifest import Owner


def fallback(spec: Spec, observed: Observed, owner: Owner, activators: str) -> Fallback | None:
    """None where no activators are installed, that is if the host `activators` is empty."""
    if not activators or not observed.port:
        return None
    return Fallback(
        port=observed.port,
        # Those who are not known yet, as after a start, are not gone.
        activators=observed.activators or _standing(observed, owner),
        replicas=spec.replicas,
        trouble=_trouble(observed, owner),
    )


def sleeping(observed: Observed, owner: Owner) -> int | None:
    """To how many pods the activators are told to wake it; None if it is not asleep."""
    live = scale_of(observed.children.get(("Deployment", names.workload(owner.name))))
    if live != 0:
        return None
    told = observed.children.get(("EndpointSlice", names.fallback_slice(owner.name)))
    return 0 if told is None else slice_replicas(told)


def slice_replicas(manifest: Mapping[str, Any]) -> int:
    """To how many pods a fallback slice says to wake; 0 if it does not."""
    text = str((manifest["metadata"].get("annotations") or {}).get(names.WAKE_REPLICAS, ""))
    return int(text) if text.isdigit() else 0


def slice_port(manifest: Mapping[str, Any]) -> int:
    """The port that a fallback slice tells; 0 if none."""
    ports = manifest.get("ports") or ()
    return next((int(item.get("port") or 0) for item in ports), 0)


def slice_made(manifest: Mapping[str, Any]) -> str:
    """When a slice was made, in Kubernetes' own text of the time."""
    return str(manifest["metadata"].get("creationTimestamp") or "")


def _standing(observed: Observed, owner: Owner) -> tuple[Activator, ...]:
    """The activators of the slice that is there."""
    live = observed.children.get(("EndpointSlice", names.fallback_slice(owner.name))) or {}
    return tuple(
        Activator(
            address,
            item.get("nodeName") or "",
            serving=(item.get("conditions") or {}).get("serving") is not False,
        )
        for item in live.get("endpoints") or ()
        for address in (item.get("addresses") or ())[:1]
    )


def _trouble(observed: Observed, owner: Owner) -> str:
    """Why no pod comes up although some should; clients that wait in vain are told."""
    deployment = observed.children.get(("Deployment", names.workload(owner.name)))
    if deployment is None or any(pod.serving for pod in observed.pods):
        return ""
    if not deployment["spec"].get("replicas", 1):
        return ""
    trouble = pod_trouble(observed.pods, deployment)
    return "" if trouble is None else trouble.message
