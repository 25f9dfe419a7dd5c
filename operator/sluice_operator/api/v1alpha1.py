"""`DatabaseProxy`, the one model behind the CRD, the parser and `sluice run`.

Names follow RDS Proxy's in camelCase. What the schema of a CRD cannot say stands as a
CEL rule in `x-kubernetes-validations`, and as a validator here that says the same.
"""

import ipaddress
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
NAME_MAX = 50
"""Longest name of a DatabaseProxy: with our suffixes it stays a DNS label (63)."""

OBJECT_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
HOST_PATTERN = r"^[A-Za-z0-9:]([-_.:A-Za-z0-9]*[A-Za-z0-9:])?$"
LABEL_KEY_MAX = 317

ObjectName = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=OBJECT_NAME_PATTERN)
]
SecretKey = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")
]
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=LABEL_KEY_MAX)]
LabelValue = Annotated[str, StringConstraints(max_length=63)]
CIDR = Annotated[
    str, StringConstraints(min_length=1, max_length=43, pattern=r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$")
]


Extra = dict[str, Any]


def rules(*pairs: tuple[str, str]) -> Extra:
    """CEL rules with their messages, as the schema carries them."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": text} for rule, text in pairs]}


def merged(*parts: Extra) -> Extra:
    return {key: value for part in parts for key, value in part.items()}


MAP: Extra = {"x-kubernetes-map-type": "atomic"}
ATOMIC: Extra = {"x-kubernetes-list-type": "atomic"}
SET: Extra = {"x-kubernetes-list-type": "set"}


def refuse(sentence: str) -> PydanticCustomError:
    """A validator's refusal, in the same words as the CEL rule it stands beside."""
    return PydanticCustomError("rule", "{sentence}", {"sentence": sentence})


class APIModel(BaseModel):
    """camelCase outside, snake_case inside; fields of newer versions are passed over."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, strict=True)


class SecretRef(APIModel):
    """A Secret of the same namespace."""

    name: ObjectName = Field(description="Name of a Secret in the namespace of the proxy.")


class CASecretRef(APIModel):
    """A CA bundle in a Secret of the same namespace."""

    name: ObjectName = Field(description="Name of a Secret in the namespace of the proxy.")
    key: SecretKey = Field(default="ca.crt", description="Key of the PEM bundle in the Secret.")


class Target(APIModel):
    """A PostgreSQL server."""

    host: str = Field(
        description="DNS name, IP address or Service of the cluster where the server listens.",
        min_length=1,
        max_length=253,
        pattern=HOST_PATTERN,
    )
    port: int = Field(default=5432, ge=1, le=65535, description="Port where the server listens.")


CA_NEEDED = "caSecretRef is needed by the modes VerifyCA and VerifyFull"


class TargetTLS(APIModel):
    """How the proxy reaches the server."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("!(self.mode in ['VerifyCA', 'VerifyFull']) || has(self.caSecretRef)", CA_NEEDED)
        )
    )

    mode: Literal["Disable", "Prefer", "Require", "VerifyCA", "VerifyFull"] = Field(
        default="Prefer",
        description="Disable: in clear. Prefer: TLS if the server has it. Require: TLS, the "
        "certificate is not looked at. VerifyCA: it must be signed by caSecretRef. VerifyFull: "
        "and be issued for the target's host.",
    )
    ca_secret_ref: CASecretRef | None = Field(
        default=None, description="The CA that signed the server's certificate."
    )

    @model_validator(mode="after")
    def _ca_for_verification(self) -> Self:
        if self.mode in ("VerifyCA", "VerifyFull") and self.ca_secret_ref is None:
            raise refuse(CA_NEEDED)
        return self


class Auth(APIModel):
    """A role that clients log in as, and that the proxy logs in as on the server."""

    secret_ref: SecretRef = Field(
        description="Secret with the role's name and password: keys username and password "
        "(type kubernetes.io/basic-auth), or user and password, or uri."
    )
    rotation_grace_seconds: int = Field(
        default=60,
        ge=0,
        le=3600,
        description="How long clients may still log in with the password that the Secret held "
        "before its last change, in seconds.",
    )


class TLS(APIModel):
    """What the proxy shows to its clients."""

    secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with tls.crt and tls.key (and ca.crt, if clients shall find it). "
        "Absent: the operator issues a CA and a certificate, and renews them.",
    )


class ConnectionPool(APIModel):
    """How many server connections there may be, and how long clients wait for one."""

    max_connections_percent: int = Field(
        default=100,
        ge=1,
        le=100,
        description="Share of the server's max_connections that all pods of this proxy may "
        "open together, in percent.",
    )
    connection_borrow_timeout_seconds: int = Field(
        default=120,
        ge=0,
        le=300,
        description="How long a client waits for a server connection, in seconds; 0 fails at once.",
    )


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

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for text in self.database_cidrs:
            checked_cidr(text)
        if len(set(self.database_cidrs)) != len(self.database_cidrs):
            raise refuse("databaseCIDRs names a range twice")
        return self


SECRET_TWICE = "a Secret stands twice in auth"


class Spec(APIModel):
    """What the user wants."""

    engine_family: Literal["PostgreSQL"] = Field(
        default="PostgreSQL", description="Kind of the database server."
    )
    targets: list[Target] = Field(
        min_length=1,
        max_length=1,
        description="The PostgreSQL server behind the proxy.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["host", "port"],
        },
    )
    target_tls: TargetTLS = Field(
        default=TargetTLS(),
        alias="targetTLS",
        description="How the proxy reaches the server.",
    )
    auth: list[Auth] = Field(
        min_length=1,
        max_length=200,
        description="Who may log in, and as whom on the server.",
        json_schema_extra=merged(
            ATOMIC,
            rules(
                (
                    "self.all(a, self.exists_one(b, b.secretRef.name == a.secretRef.name))",
                    SECRET_TWICE,
                )
            ),
        ),
    )
    require_tls: bool = Field(
        default=True, alias="requireTLS", description="Whether clients without TLS are refused."
    )
    tls: TLS = Field(default=TLS(), description="The certificate shown to clients.")
    idle_client_timeout_seconds: int = Field(
        default=1800,
        ge=60,
        le=28800,
        description="After how long without a query a client is disconnected, in seconds.",
    )
    debug_logging: bool = Field(
        default=False, description="Whether the proxy logs each connection and its states."
    )
    connection_pool: ConnectionPool = Field(
        default=ConnectionPool(), description="The budget of server connections."
    )
    network: Network = Field(
        default=Network(), description="What the proxy's NetworkPolicy lets through."
    )
    replicas: int = Field(default=2, ge=1, le=100, description="Number of proxy pods.")

    @model_validator(mode="after")
    def _each_secret_once(self) -> Self:
        secrets = [entry.secret_ref.name for entry in self.auth]
        if len(set(secrets)) != len(secrets):
            raise refuse(SECRET_TWICE)
        return self


class ObjectMeta(APIModel):
    """What we need of an object's metadata."""

    name: str = Field(min_length=1, max_length=NAME_MAX, pattern=NAME_PATTERN)
    namespace: str = "default"
    uid: str = ""
    generation: int = 0


class DatabaseProxy(APIModel):
    """A pooled endpoint in front of a PostgreSQL server."""

    api_version: Literal["sluice.dev/v1alpha1"]
    kind: Literal["DatabaseProxy"]
    metadata: ObjectMeta
    spec: Spec
