"""Where pods may run: Kubernetes' own words for it, bounded, with its own rules."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from sluice_operator import names
from sluice_operator.api.labels import LabelKey, LabelSelector, LabelValue
from sluice_operator.api.model import (
    ATOMIC,
    INT32_MAX,
    PRESERVED,
    SET,
    APIModel,
    each_once,
    refuse,
    rules,
)

KEY_NEEDED = "a toleration without a key needs the operator Exists"
VALUE_UNUSED = "the operator Exists takes no value"
SECONDS_UNUSED = "tolerationSeconds needs the effect NoExecute"


class Toleration(APIModel):
    """A taint of nodes that does not keep the pods away."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.key) || self.operator == 'Exists'", KEY_NEEDED),
            ("self.operator != 'Exists' || !has(self.value) || self.value == ''", VALUE_UNUSED),
            (
                "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
                SECONDS_UNUSED,
            ),
        )
    )

    key: LabelKey | None = Field(
        default=None,
        description="Key of the taint. Absent, with the operator Exists: every taint.",
    )
    operator: Literal["Equal", "Exists"] = Field(
        default="Equal",
        description="Equal: the taint has this key and this value. Exists: it has this key, "
        "whatever its value.",
    )
    value: LabelValue | None = Field(
        default=None, description="Value of the taint; for the operator Equal alone."
    )
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint that is tolerated. Absent: all three."
    )
    toleration_seconds: int | None = Field(
        default=None,
        ge=0,
        le=INT32_MAX,
        description="How long a pod stays once its node got the taint, in seconds; 0 evicts it at "
        "once. For the effect NoExecute alone. Absent: for ever.",
    )

    @model_validator(mode="after")
    def _as_kubernetes_has_it(self) -> Self:
        if self.key is None and self.operator != "Exists":
            raise refuse(KEY_NEEDED)
        if self.operator == "Exists" and self.value:
            raise refuse(VALUE_UNUSED)
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise refuse(SECONDS_UNUSED)
        return self


LABEL_TWICE = "a label stands twice"
DOMAINS_UNUSED = "minDomains needs whenUnsatisfiable DoNotSchedule"
KEY_TWICE = "a key of matchLabelKeys must not be in labelSelector, too"

_OWN_KEYS = f"['{names.LABEL_NAME}', '{names.LABEL_INSTANCE}']"
_NO_KEY_TWICE = (
    "!has(self.matchLabelKeys) || (!has(self.labelSelector) "
    f"? self.matchLabelKeys.all(key, !(key in {_OWN_KEYS})) "
    ": self.matchLabelKeys.all(key, "
    "(!has(self.labelSelector.matchLabels) || !(key in self.labelSelector.matchLabels)) && "
    "(!has(self.labelSelector.matchExpressions) || "
    "!self.labelSelector.matchExpressions.exists(e, e.key == key))))"
)


class TopologySpreadConstraint(APIModel):
    """How evenly pods are spread over nodes, zones or other parts of the cluster."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
                DOMAINS_UNUSED,
            ),
            (_NO_KEY_TWICE, KEY_TWICE),
        )
    )

    max_skew: int = Field(
        ge=1,
        le=INT32_MAX,
        description="By how many pods one part may be ahead of the emptiest; 1 is as even as can "
        "be.",
    )
    topology_key: LabelKey = Field(
        description="The nodes' label whose values are the parts, such as kubernetes.io/hostname "
        "or topology.kubernetes.io/zone. Nodes without it take no part."
    )
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        description="Where no node fits, DoNotSchedule leaves the pod pending, which can hold up "
        "a rollout; ScheduleAnyway takes the node that is the least uneven."
    )
    label_selector: LabelSelector | None = Field(
        default=None, description="The pods that are counted. Absent: those of this proxy."
    )
    match_label_keys: Annotated[list[LabelKey], each_once(LABEL_TWICE)] = Field(
        default_factory=list,
        max_length=8,
        description="Labels of which only pods with the same value are counted: with "
        "pod-template-hash the pods of an old rollout are not. None may be in labelSelector "
        "(absent, that is app.kubernetes.io/name and app.kubernetes.io/instance).",
        json_schema_extra=SET,
    )
    min_domains: int | None = Field(
        default=None,
        ge=1,
        le=INT32_MAX,
        description="How many parts there must be; while there are fewer, those that lack count "
        "as empty. For whenUnsatisfiable DoNotSchedule alone. Absent: 1.",
    )
    node_affinity_policy: Literal["Honor", "Ignore"] | None = Field(
        default=None,
        description="Whether only nodes count that nodeSelector and affinity allow (Honor), or "
        "all (Ignore). Absent: Honor.",
    )
    node_taints_policy: Literal["Honor", "Ignore"] | None = Field(
        default=None,
        description="Whether nodes count only if the pods tolerate their taints (Honor), or all "
        "(Ignore). Absent: Ignore.",
    )

    @model_validator(mode="after")
    def _as_kubernetes_has_it(self) -> Self:
        if self.min_domains is not None and self.when_unsatisfiable != "DoNotSchedule":
            raise refuse(DOMAINS_UNUSED)
        if not self._selected_keys().isdisjoint(self.match_label_keys):
            raise refuse(KEY_TWICE)
        return self

    def _selected_keys(self) -> set[str]:
        selector = self.label_selector
        if selector is None:
            return {names.LABEL_NAME, names.LABEL_INSTANCE}
        return {*selector.match_labels, *(item.key for item in selector.match_expressions)}


Term = Annotated[dict[str, Any], Field(max_length=8, json_schema_extra=PRESERVED)]
"""A term of Kubernetes, kept as it was written: the API server judges it with the pods."""


class NodeAffinity(APIModel):
    """Which nodes the pods may run on, by the nodes' labels."""

    required_during_scheduling_ignored_during_execution: Term | None = Field(
        default=None,
        description="A NodeSelector of Kubernetes: nodeSelectorTerms of which one must fit. Where "
        "no node does, pods stay pending.",
    )
    preferred_during_scheduling_ignored_during_execution: list[Term] = Field(
        default_factory=list,
        max_length=32,
        description="Each a weight from 1 to 100 and a preference: the scheduler takes the node "
        "with the highest sum.",
        json_schema_extra=ATOMIC,
    )


class PodAffinity(APIModel):
    """Which pods the pods may run beside, or must not."""

    required_during_scheduling_ignored_during_execution: list[Term] = Field(
        default_factory=list,
        max_length=32,
        description="PodAffinityTerms of Kubernetes (topologyKey, labelSelector, namespaces, …) "
        "that must all hold. Where they cannot, pods stay pending.",
        json_schema_extra=ATOMIC,
    )
    preferred_during_scheduling_ignored_during_execution: list[Term] = Field(
        default_factory=list,
        max_length=32,
        description="Each a weight from 1 to 100 and a podAffinityTerm: the scheduler takes the "
        "node with the highest sum.",
        json_schema_extra=ATOMIC,
    )


class Affinity(APIModel):
    """Rules that draw pods to nodes or to other pods, or keep them away."""

    node_affinity: NodeAffinity | None = Field(
        default=None,
        description="Which nodes the pods may run on, where nodeSelector is too plain.",
    )
    pod_affinity: PodAffinity | None = Field(
        default=None, description="Pods that the proxy's pods are to be near to, as their clients."
    )
    pod_anti_affinity: PodAffinity | None = Field(
        default=None,
        description="Pods that the proxy's pods are to be apart from. That they are apart from "
        "each other is rather said in topologySpreadConstraints.",
    )
