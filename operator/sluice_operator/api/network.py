"""Who may connect, and where the servers may be: Kubernetes' own peers, bounded."""

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from sluice_operator.api.model import ATOMIC, MAP, SET, APIModel, merged, refuse, rules

LABEL_KEY_MAX = 317

LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=LABEL_KEY_MAX)]
LabelValue = Annotated[str, StringConstraints(max_length=63)]
CIDR = Annotated[
    str, StringConstraints(min_length=1, max_length=43, pattern=r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$")
]

VALUES_MISMATCH = "In and NotIn need values, Exists and DoesNotExist have none"


class LabelSelectorRequirement(APIModel):
    """One expression of a label selector."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                VALUES_MISMATCH,
            )
        )
    )

    key: LabelKey = Field(description="The label's key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="How the label's value relates to values."
    )
    values: list[LabelValue] = Field(
        default_factory=list,
        max_length=64,
        description="Values of In and NotIn; empty otherwise.",
        json_schema_extra=ATOMIC,
    )

    @model_validator(mode="after")
    def _values_where_needed(self) -> Self:
        if (self.operator in ("In", "NotIn")) != bool(self.values):
            raise refuse(VALUES_MISMATCH)
        return self


class LabelSelector(APIModel):
    """A Kubernetes label selector; empty selects everything."""

    model_config = ConfigDict(json_schema_extra=MAP)

    match_labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        max_length=64,
        description="Labels that must be there with these values.",
    )
    match_expressions: list[LabelSelectorRequirement] = Field(
        default_factory=list,
        max_length=64,
        description="Expressions that must all hold.",
        json_schema_extra=ATOMIC,
    )


NOT_A_CIDR = "not a CIDR such as 10.0.0.0/8"
RANGE_TWICE = "a range stands twice"
HOLE_OUTSIDE = "except must lie inside cidr and be smaller"

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def checked_cidr(text: str) -> IPNetwork:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise refuse(NOT_A_CIDR) from None


def lies_inside(hole: IPNetwork, outer: IPNetwork) -> bool:
    if isinstance(hole, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return hole != outer and hole.subnet_of(outer)
    if isinstance(hole, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return hole != outer and hole.subnet_of(outer)
    return False


class IPBlock(APIModel):
    """A range of addresses with holes in it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("isCIDR(self.cidr)", NOT_A_CIDR),
            ("!has(self.except) || self.except.all(hole, isCIDR(hole))", NOT_A_CIDR),
            (
                "!isCIDR(self.cidr) || !has(self.except) || self.except.all(hole, "
                "!isCIDR(hole) || (cidr(self.cidr).containsCIDR(hole) && "
                "cidr(hole).prefixLength() > cidr(self.cidr).prefixLength()))",
                HOLE_OUTSIDE,
            ),
        )
    )

    cidr: CIDR = Field(description="The range, such as 10.0.0.0/8.")
    except_: list[CIDR] = Field(
        default_factory=list,
        alias="except",
        max_length=64,
        description="Ranges inside cidr that are left out.",
        json_schema_extra=ATOMIC,
    )

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        outer = checked_cidr(self.cidr)
        if not all(lies_inside(checked_cidr(hole), outer) for hole in self.except_):
            raise refuse(HOLE_OUTSIDE)
        return self


PEER_EMPTY = "set podSelector, namespaceSelector or ipBlock"
PEER_MIXED = "ipBlock excludes podSelector and namespaceSelector"


class NetworkPolicyPeer(APIModel):
    """Who may connect, as in a NetworkPolicy."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.ipBlock) || has(self.podSelector) || has(self.namespaceSelector)",
                PEER_EMPTY,
            ),
            (
                "!has(self.ipBlock) || !(has(self.podSelector) || has(self.namespaceSelector))",
                PEER_MIXED,
            ),
        )
    )

    pod_selector: LabelSelector | None = Field(
        default=None,
        description="Pods with these labels, in this namespace or in namespaceSelector's.",
    )
    namespace_selector: LabelSelector | None = Field(
        default=None, description="Namespaces with these labels."
    )
    ip_block: IPBlock | None = Field(default=None, description="Addresses outside the cluster.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        selectors = self.pod_selector is not None or self.namespace_selector is not None
        if self.ip_block is None and not selectors:
            raise refuse(PEER_EMPTY)
        if self.ip_block is not None and selectors:
            raise refuse(PEER_MIXED)
        return self


class Network(APIModel):
    """What the proxy's NetworkPolicy lets through."""

    allowed_clients: list[NetworkPolicyPeer] = Field(
        default_factory=list,
        max_length=64,
        description="Who may connect as a client. Empty: the pods of the proxy's namespace.",
        json_schema_extra=ATOMIC,
    )
    database_cidrs: list[CIDR] = Field(
        default_factory=list,
        alias="databaseCIDRs",
        max_length=64,
        description="Where a target outside the cluster may be. Empty: derived from the "
        "targets; for a DNS name outside the cluster, the target's port at any address.",
        json_schema_extra=merged(SET, rules(("self.all(range, isCIDR(range))", NOT_A_CIDR))),
    )

    @field_validator("database_cidrs")
    @classmethod
    def _ranges(cls, ranges: list[str]) -> list[str]:
        for text in ranges:
            checked_cidr(text)
        if len(set(ranges)) != len(ranges):
            raise refuse(RANGE_TWICE)
        return ranges
