"""What of `spec.podTemplate` goes where in a pod, and what stands there if the user says nothing.

Everything is written as the API server stores it: a field that it would write in another way,
or leave out, would look like somebody's edit at every look, and be written for ever.
"""

from collections.abc import Mapping
from typing import Any

from sluice_operator.api.model import APIModel
from sluice_operator.api.pod_template import PodTemplate
from sluice_operator.api.resources import Quantities, canonical_bytes, canonical_cpu
from sluice_operator.desired.inputs import ProxyImage

DEFAULT_REQUESTS = {"cpu": "50m", "memory": "64Mi"}

_NODES_THEN_ZONES = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
_HASH = "pod-template-hash"
# Maps of Kubernetes whose values may be empty, and which are left out when they are empty.
_MAPS = ("matchLabels",)


def pod_metadata(template: PodTemplate, ours: Mapping[str, str]) -> dict[str, Any]:
    """Labels and annotations of the pods; whatever the user says, `ours` are there."""
    metadata: dict[str, Any] = {"labels": {**template.metadata.labels, **ours}}
    if template.metadata.annotations:
        metadata["annotations"] = dict(template.metadata.annotations)
    return metadata


def resources(template: PodTemplate) -> dict[str, Any]:
    """Requests and limits of the container.

    Our requests are for what the user names in neither: a limit alone is a request of as
    much, as in every pod. No CPU limit of ours: a throttled proxy stalls every client at once.
    """
    limits = _quantities(template.resources.limits)
    unnamed = {key: text for key, text in DEFAULT_REQUESTS.items() if key not in limits}
    requests = {**unnamed, **_quantities(template.resources.requests)}
    found = {"requests": requests, "limits": limits}
    return {key: amounts for key, amounts in found.items() if amounts}


def _quantities(amounts: Quantities) -> dict[str, str]:
    found = {}
    if amounts.cpu is not None:
        found["cpu"] = canonical_cpu(amounts.cpu)
    if amounts.memory is not None:
        found["memory"] = canonical_bytes(amounts.memory)
    if amounts.ephemeral_storage is not None:
        found["ephemeral-storage"] = canonical_bytes(amounts.ephemeral_storage)
    return found


def placement(template: PodTemplate, selector: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a PodSpec that say where pods run; `selector` picks the proxy's own."""
    fields = {
        "nodeSelector": dict(template.node_selector),
        "tolerations": [_plain(item) for item in template.tolerations],
        "affinity": _plain(template.affinity),
        "priorityClassName": template.priority_class_name,
    }
    said = {key: value for key, value in fields.items() if value}
    return {**said, "topologySpreadConstraints": _spread(template, selector)}


def _spread(template: PodTemplate, selector: Mapping[str, str]) -> list[dict[str, Any]]:
    own = {"labelSelector": {"matchLabels": dict(selector)}}
    if template.topology_spread_constraints:
        return [own | _plain(item) for item in template.topology_spread_constraints]
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            **own,
            # Pods of an old rollout are on their way out: they do not count.
            "matchLabelKeys": [_HASH],
        }
        for key in _NODES_THEN_ZONES
    ]


def security_context(template: PodTemplate) -> dict[str, Any]:
    """Restricted Pod Security, with the user's ids."""
    return {
        **_plain(template.security_context),
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def pull_secrets(template: PodTemplate, image: ProxyImage) -> dict[str, Any]:
    """The user's and the operator's, each once."""
    secrets = (*(secret.name for secret in template.image_pull_secrets), *image.pull_secrets)
    unique = dict.fromkeys(secrets)
    return {"imagePullSecrets": [{"name": name} for name in unique]} if unique else {}


def _plain(model: APIModel) -> dict[str, Any]:
    """`model` as Kubernetes stores it: without what is empty."""
    plain: dict[str, Any] = without_empty(model.model_dump(by_alias=True, exclude_none=True))
    return plain


def without_empty(value: Any) -> Any:
    """`value` without the fields that the API server leaves out, at any depth.

    Those are null, empty texts, lists and maps. An empty object stays: in a selector it
    means everything. So does what is in a list, and the empty value of a label.
    """
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: dict(item) if key in _MAPS else without_empty(item)
        for key, item in value.items()
        if not _is_left_out(key, item)
    }


def _is_left_out(key: str, value: Any) -> bool:
    return value is None or value in ("", []) or (key in _MAPS and not value)
