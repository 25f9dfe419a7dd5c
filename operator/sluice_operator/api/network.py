"""Who may connect, and where the servers may be: Kubernetes' own peers, bounded."""

import ipaddress
from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from sluice_operator.api.labels import LabelSelector
from sluice_operator.api.model import ATOMIC, SET, APIModel, each_once, merged, refuse, rules

CIDR = Annotated[
    str,
    StringConstraints(min_length=1, max_length=43, pattern=r"^[0-9A-Fa-f:.]+/(0|[1-9][0-9]{0,2})$"),
]

NOT_A_CIDR = "not a CIDR such as 10.0.0.0/8"
RANGE_TWICE = "a range stands twice"
HOLE_OUTSIDE = "except must lie inside cidr and be smaller"

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def checked_cidr(text: str) -> IPNetwork:
    """The range; one of IPv4 in the clothes of IPv6 is none for the API server."""
    try:
        given = ipaddress.ip_interface(text)
    except ValueError:
        raise refuse(NOT_A_CIDR) from None
    if isinstance(given, ipaddress.IPv6Interface) and given.ip.ipv4_mapped is not None:
        raise refuse(NOT_A_CIDR)
    return given.network


def is_ipv6(text: str) -> bool:
    """Whether it is an address of IPv6 to the API server, for which an IPv4-mapped one is none."""
    try:
        return ipaddress.IPv6Address(text).ipv4_mapped is None
    except ValueError:
        return False


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

    cidr: CIDR = Field(
        description="The range, such as 10.0.0.0/8 or fd00::/8; a single address is a /32 or /128."
    )
    except_: list[CIDR] = Field(
        default_factory=list,
        alias="except",
        max_length=64,
        description="Ranges that are left out; each lies inside cidr and is smaller.",
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
    """Who may connect, as in a NetworkPolicy: pods, namespaces, or a range of addresses."""

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
        description="Pods with these labels: of the proxy's namespace, or of the namespaces that "
        "namespaceSelector chooses. {} is every pod there.",
    )
    namespace_selector: LabelSelector | None = Field(
        default=None,
        description="Namespaces with these labels; all their pods, unless podSelector chooses. "
        "{} is every namespace. Each has its name in the label kubernetes.io/metadata.name.",
    )
    ip_block: IPBlock | None = Field(
        default=None,
        description="Clients outside the cluster, by the addresses that the node sees them come "
        "from. Stands alone. The addresses of pods change: choose those by their labels.",
    )

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
        description="Who may connect as a client; the password is asked for all the same. Empty: "
        "every pod of the proxy's namespace. As soon as there is an entry, only what the entries "
        "say: name this namespace again with podSelector {} if it shall go on.",
        json_schema_extra=ATOMIC,
    )
    database_cidrs: Annotated[list[CIDR], each_once(RANGE_TWICE)] = Field(
        default_factory=list,
        alias="databaseCIDRs",
        max_length=64,
        description="Where the pods may connect to, on the target's port, for a server outside "
        "the cluster. Empty: derived from targets: an address is that address, a Service is its "
        "pods, and any other name is every address, since policies know no names. Give the ranges "
        "of a server that has a name, and nothing else can be reached.",
        json_schema_extra=merged(SET, rules(("self.all(range, isCIDR(range))", NOT_A_CIDR))),
    )

    @field_validator("database_cidrs")
    @classmethod
    def _ranges(cls, ranges: list[str]) -> list[str]:
        for text in ranges:
            checked_cidr(text)
        return ranges
