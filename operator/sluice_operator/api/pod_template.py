"""What users may say about the proxy's pods: what a scheduler, a quota or a mesh may need.

Curated, not a whole PodSpec: nothing in here can break the proxy's container, widen its
rights or make the CRD too large to be applied.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from sluice_operator import names
from sluice_operator.api.labels import KEYS_RULE, LABELS, LabelMap, checked_keys
from sluice_operator.api.model import (
    ATOMIC,
    INT32_MAX,
    MAP,
    APIModel,
    ObjectName,
    each_once,
    list_map,
    merged,
    refuse,
    rules,
)
from sluice_operator.api.resources import Resources
from sluice_operator.api.scheduling import Affinity, Toleration, TopologySpreadConstraint

LINGER_SECONDS = 15
"""How long a pod that shall end waits for one more client: a node may learn late that it leaves."""

STOP_MARGIN_SECONDS = 10
"""What the kubelet waits beyond the drain before it kills."""

OWN_PREFIX = f"{names.GROUP}/"
OWN_LABELS = tuple(names.labels(""))

NOT_THEIRS = f"keys under {OWN_PREFIX} are the operator's own"
NOT_THEIR_LABELS = f"keys under {OWN_PREFIX} and {', '.join(OWN_LABELS)} are the operator's own"

_NO_OWN_PREFIX = f"self.all(key, !key.startsWith('{OWN_PREFIX}'))"
_NO_OWN_LABELS = f"self.all(key, !key.startsWith('{OWN_PREFIX}') && !(key in {[*OWN_LABELS]}))"


def _not_ours(annotations: Mapping[str, str]) -> Mapping[str, str]:
    if any(key.startswith(OWN_PREFIX) for key in annotations):
        raise refuse(NOT_THEIRS)
    return annotations


def _not_our_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    if any(key.startswith(OWN_PREFIX) or key in OWN_LABELS for key in labels):
        raise refuse(NOT_THEIR_LABELS)
    return labels


AnnotationValue = Annotated[str, StringConstraints(max_length=4096)]


class PodMetadata(APIModel):
    """Labels and annotations that the pods get beside the operator's own."""

    labels: Annotated[LabelMap, AfterValidator(_not_our_labels)] = Field(
        default_factory=dict,
        max_length=32,
        description="Labels for the pods, such as a team or a cost centre. Policies and Services "
        "of others may select by them. A change makes new pods.",
        json_schema_extra=rules(KEYS_RULE, (_NO_OWN_LABELS, NOT_THEIR_LABELS)),
    )
    annotations: Annotated[
        dict[str, AnnotationValue], AfterValidator(checked_keys), AfterValidator(_not_ours)
    ] = Field(
        default_factory=dict,
        max_length=32,
        description="Annotations for the pods, such as switches of a service mesh or a backup "
        "tool. A change makes new pods.",
        json_schema_extra=rules(KEYS_RULE, (_NO_OWN_PREFIX, NOT_THEIRS)),
    )


GroupID = Annotated[int, Field(ge=0, le=INT32_MAX)]


class PodSecurityContext(APIModel):
    """Users and groups of the pods' processes.

    What restricted Pod Security demands is set in any case: no root, no privilege
    escalation, no capabilities, the runtime's seccomp profile, a read-only root.
    """

    run_as_user: int | None = Field(
        default=None,
        ge=1,
        le=INT32_MAX,
        description="User id of the proxy's process; never 0. Absent: the image's own, or what "
        "the cluster gives (OpenShift does).",
    )
    run_as_group: int | None = Field(
        default=None,
        ge=0,
        le=INT32_MAX,
        description="Group id of the proxy's process. Absent: the image's own.",
    )
    fs_group: int | None = Field(
        default=None,
        ge=0,
        le=INT32_MAX,
        description="Group that the mounted configuration belongs to. Absent: none is set.",
    )
    supplemental_groups: list[GroupID] = Field(
        default_factory=list,
        max_length=32,
        description="More group ids of the proxy's process.",
        json_schema_extra=ATOMIC,
    )


class ImagePullSecret(APIModel):
    """A Secret with a login of the image's registry."""

    name: ObjectName = Field(
        description="Name of a Secret of the type kubernetes.io/dockerconfigjson in the namespace "
        "of the proxy."
    )


PULL_SECRET_TWICE = "a Secret stands twice in imagePullSecrets"
SPREAD_TWICE = "two constraints have the same topologyKey and whenUnsatisfiable"

SpreadConstraints = Annotated[
    list[TopologySpreadConstraint],
    each_once(SPREAD_TWICE, lambda item: (item.topology_key, item.when_unsatisfiable)),
]


class PodTemplate(APIModel):
    """What the proxy's pods have beyond what the operator gives them."""

    metadata: PodMetadata = Field(
        default=PodMetadata(), description="More labels and annotations for the pods."
    )
    resources: Resources = Field(
        default=Resources(),
        description="CPU and memory of the proxy's container. A change makes new pods.",
    )
    node_selector: LabelMap = Field(
        default_factory=dict,
        max_length=32,
        description="Labels that a node must have for a pod to run there. Empty: any node. Where "
        "no node has them, pods stay pending, and the condition Progressing says so.",
        json_schema_extra=merged(MAP, LABELS),
    )
    tolerations: list[Toleration] = Field(
        default_factory=list,
        max_length=32,
        description="Taints of nodes that do not keep the pods away. Empty: none.",
        json_schema_extra=ATOMIC,
    )
    affinity: Affinity = Field(
        default=Affinity(),
        description="Rules that draw the pods to nodes or other pods, or keep them away, as in a "
        "PodSpec. The terms themselves are checked when the pods are made: a wrong one is told in "
        "the condition Accepted.",
    )
    topology_spread_constraints: SpreadConstraints = Field(
        default_factory=list,
        max_length=8,
        description="How evenly the pods are spread. Empty: over nodes and over zones as well as "
        "may be, without ever keeping a pod from running. What stands here takes the place of "
        "both.",
        json_schema_extra=list_map("topologyKey", "whenUnsatisfiable"),
    )
    priority_class_name: ObjectName | None = Field(
        default=None,
        description="PriorityClass of the pods: who makes room when a node is full. Absent: the "
        "cluster's default. Give the proxy at least the priority of its clients: without it they "
        "reach no database.",
    )
    image_pull_secrets: Annotated[
        list[ImagePullSecret], each_once(PULL_SECRET_TWICE, lambda secret: secret.name)
    ] = Field(
        default_factory=list,
        max_length=16,
        description="Logins for the registry of the proxy's image, beside those that the "
        "operator was installed with. Empty: only those.",
        json_schema_extra=list_map("name"),
    )
    security_context: PodSecurityContext = Field(
        default=PodSecurityContext(),
        description="Users and groups of the pods' processes, where the cluster demands certain "
        "ones.",
    )
    termination_grace_period_seconds: int = Field(
        default=60,
        ge=15,
        le=3600,
        description="How long a pod that shall end may take, in seconds. It goes on accepting "
        "and serving until its clients have left by themselves and no new one came for 15 "
        "seconds (a quarter of this number where that is less). From 20 seconds before the end "
        "on, or half-way to the last 10 where it is less than 30, nobody is let in any more and "
        "each client is let go that has rested for a moment between two transactions; what is "
        "left 10 seconds before the end is cut off. So a transaction that begins late has 10 "
        "seconds, and with 3600 a rollout may take an hour for each pod.",
    )

    @property
    def drain_seconds(self) -> int:
        """How long clients may stay after a pod was told to end."""
        return self.termination_grace_period_seconds - STOP_MARGIN_SECONDS

    @property
    def linger_seconds(self) -> int:
        """For how long no client must have come before a pod that was told to end does so."""
        return min(LINGER_SECONDS, self.termination_grace_period_seconds // 4)
