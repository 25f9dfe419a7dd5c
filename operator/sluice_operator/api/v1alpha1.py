"""`DatabaseProxy`, the one model behind the CRD, the parser and `sluice run`.

Names follow RDS Proxy's in camelCase. What the schema of a CRD cannot say stands as a
CEL rule in `x-kubernetes-validations`, and as a validator here that says the same.
"""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from sluice_operator import names
from sluice_operator.api.model import (
    ATOMIC,
    APIModel,
    ObjectName,
    SecretKey,
    each_once,
    list_map,
    merged,
    refuse,
    rules,
)
from sluice_operator.api.network import Network, is_ipv6
from sluice_operator.api.pod_template import PodTemplate
from sluice_operator.api.pool import ConnectionPool

NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
NAME_MAX = 50
"""Longest name of a DatabaseProxy: with our suffixes it stays a DNS label (63)."""

HOST_PATTERN = r"^[A-Za-z0-9:]([-_.:A-Za-z0-9]*[A-Za-z0-9:])?$"
NO_HOST = "a colon stands in IPv6 addresses alone; the port has a field of its own"

PEERS_SUFFIX = names.peers("")
PEERS_NAME = f"must not end in {PEERS_SUFFIX}: pods find each other by such names"


class SecretRef(APIModel):
    """A Secret of the same namespace."""

    name: ObjectName = Field(description="Name of a Secret in the namespace of the proxy.")


class CASecretRef(APIModel):
    """A CA bundle in a Secret of the same namespace."""

    name: ObjectName = Field(description="Name of a Secret in the namespace of the proxy.")
    key: SecretKey = Field(
        default="ca.crt",
        description="Key of the Secret that holds the bundle: one or more certificates in PEM.",
    )


class Target(APIModel):
    """A PostgreSQL server."""

    host: str = Field(
        description="Where the server listens: a DNS name, an IP address, or a Service of the "
        "cluster (db, db.data or db.data.svc). A name is looked up again every 5 seconds while "
        "connections are open, and those to an address that it no longer gives end.",
        min_length=1,
        max_length=253,
        pattern=HOST_PATTERN,
        json_schema_extra=rules(("!self.contains(':') || isIP(self)", NO_HOST)),
    )
    port: int = Field(
        default=5432,
        ge=1,
        le=65535,
        description="Port where the server listens. For a Service, the Service's port.",
    )

    @field_validator("host")
    @classmethod
    def _colons_in_addresses_alone(cls, host: str) -> str:
        if ":" in host and not is_ipv6(host):
            raise refuse(NO_HOST)
        return host


CA_NEEDED = "caSecretRef is needed by the modes VerifyCA and VerifyFull"
DIRECT_NEEDS = "negotiation Direct needs the mode Require, VerifyCA or VerifyFull"


class TargetTLS(APIModel):
    """How the proxy reaches the server."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            # Rules are also checked on the default {}, before its fields get theirs.
            (
                "!has(self.mode) || !(self.mode in ['VerifyCA', 'VerifyFull']) || "
                "has(self.caSecretRef)",
                CA_NEEDED,
            ),
            (
                "!has(self.negotiation) || self.negotiation != 'Direct' || "
                "(has(self.mode) && self.mode in ['Require', 'VerifyCA', 'VerifyFull'])",
                DIRECT_NEEDS,
            ),
        )
    )

    mode: Literal["Disable", "Prefer", "Require", "VerifyCA", "VerifyFull"] = Field(
        default="Prefer",
        description="Disable: in clear. Prefer: TLS if the server has it. Require: TLS, the "
        "certificate is not looked at. VerifyCA: it must be signed by caSecretRef. VerifyFull: "
        "and be issued for the target's host. Only VerifyFull keeps out whoever can answer in "
        "the server's place.",
    )
    ca_secret_ref: CASecretRef | None = Field(
        default=None,
        description="The CA that signed the server's certificate. Needed by VerifyCA and "
        "VerifyFull, without meaning otherwise. A changed CA is live within seconds.",
    )
    negotiation: Literal["Request", "Direct"] = Field(
        default="Request",
        description="Request: TLS is asked for, as every server knows it. Direct: it begins at "
        "once, which saves a round trip and needs PostgreSQL 17 (libpq's sslnegotiation).",
    )

    @model_validator(mode="after")
    def _tls_for_direct(self) -> Self:
        if self.negotiation == "Direct" and self.mode in ("Disable", "Prefer"):
            raise refuse(DIRECT_NEEDS)
        return self

    @model_validator(mode="after")
    def _ca_for_verification(self) -> Self:
        if self.mode in ("VerifyCA", "VerifyFull") and self.ca_secret_ref is None:
            raise refuse(CA_NEEDED)
        return self


class Auth(APIModel):
    """A role that clients log in as, and that the proxy logs in as on the server."""

    secret_ref: SecretRef = Field(
        description="Secret with the role's name and password: keys username and password "
        "(type kubernetes.io/basic-auth), or user and password, or uri. The key dbname (or "
        "database, or the uri's) names the database where the login is tried; without it, "
        "postgres. A changed password is live within seconds."
    )
    rotation_grace_seconds: int = Field(
        default=60,
        ge=0,
        le=3600,
        description="How long clients may still log in with the password that the Secret held "
        "before its last change, in seconds. 0: not at all. Give as long as it takes until all "
        "clients have the new one. A lower number counts at once, for a password that changed "
        "already too; a higher one from the next change on.",
    )


class TLS(APIModel):
    """What the proxy shows to its clients."""

    secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with tls.crt and tls.key (and ca.crt, if clients shall find it), as "
        "cert-manager writes it. A changed one is live within seconds, without a restart. "
        "Absent: the operator issues a CA and a certificate for the Service's names, and renews "
        "them; clients find the CA in the Secret that status.caSecretName names.",
    )


class AutoPause(APIModel):
    """When an idle proxy has no pods."""

    enabled: bool = Field(
        default=True,
        description="Whether the proxy is paused while nobody uses it: it has no pod then, no "
        "server connection and no cost. The next client that connects is held, wakes it, and "
        "goes on as soon as a pod listens. With false the pods stay.",
    )
    idle_seconds: int = Field(
        default=300,
        ge=60,
        le=86400,
        description="For how long no client may be connected to any pod before all of them go, "
        "in seconds. A client that is connected keeps the proxy awake, however idle it is. "
        "Applications whose own pool closes idle connections after the very same time come back "
        "or not by the toss of a coin: give another number than theirs.",
    )


SECRET_TWICE = "a Secret stands twice in auth"
SECRETS_RULE = (
    "self.all(a, self.exists_one(b, b.secretRef.name == a.secretRef.name))",
    SECRET_TWICE,
)
AuthList = Annotated[list[Auth], each_once(SECRET_TWICE, lambda entry: entry.secret_ref.name)]


class Spec(APIModel):
    """What the proxy is to be: in front of which server, for whom, with how many connections.

    targets and auth must be given; all else has a default.
    """

    engine_family: Literal["PostgreSQL"] = Field(
        default="PostgreSQL",
        description="Kind of the database server. There is but one: others are refused rather "
        "than spoken to in the wrong way.",
    )
    targets: list[Target] = Field(
        min_length=1,
        max_length=1,
        description="The PostgreSQL server behind the proxy: one. Another one takes effect "
        "without a restart; transactions under way end on the old one.",
        json_schema_extra=list_map("host", "port"),
    )
    target_tls: TargetTLS = Field(
        default=TargetTLS(),
        alias="targetTLS",
        description="Whether the way to the server is encrypted, and how the server proves who "
        "it is.",
    )
    auth: AuthList = Field(
        min_length=1,
        max_length=200,
        description="The roles that clients may log in as; the proxy logs in to the server as the "
        "same role with the same password. Whoever is not in here gets no further. Two Secrets "
        "must not be of one role.",
        json_schema_extra=merged(ATOMIC, rules(SECRETS_RULE)),
    )
    require_tls: bool = Field(
        default=True,
        alias="requireTLS",
        description="Whether clients that do not use TLS are refused. With false they may choose; "
        "passwords stay hidden (SCRAM), queries and answers do not.",
    )
    tls: TLS = Field(
        default=TLS(), description="The certificate that the proxy shows to its clients."
    )
    idle_client_timeout_seconds: int = Field(
        default=1800,
        ge=60,
        le=28800,
        description="After how long without a query a client is disconnected, in seconds; the "
        "longest is 8 hours. Clients in a transaction are counted as well. Give more than the "
        "time that clients' own pools keep connections, or they find them closed.",
    )
    debug_logging: bool = Field(
        default=False,
        description="Whether the proxy logs each connection, each pin and its reason. No text of "
        "a query and no password is ever logged. It costs time: switch it on while you look for "
        "something. A change is live at once.",
    )
    connection_pool: ConnectionPool = Field(
        default=ConnectionPool(),
        description="How many server connections there may be, and how long clients wait for one.",
    )
    network: Network = Field(
        default=Network(),
        description="What the NetworkPolicy of the proxy's pods lets in and out. It has meaning "
        "where the cluster enforces NetworkPolicies.",
    )
    replicas: int = Field(
        default=2,
        ge=1,
        le=100,
        description="Number of proxy pods, which share the budget of connections. A pod uses one "
        "core at most: give more where pods are at that. With 1 there is no PodDisruptionBudget, "
        "and new clients are held, not refused, while the pod is moved. An HPA may own this field "
        "by the scale subresource: leave it out of the manifest then.",
    )
    auto_pause: AutoPause = Field(
        default=AutoPause(),
        description="Whether a proxy without clients has no pods, until the next client connects.",
    )
    suspend: bool = Field(
        default=False,
        description="Whether the operator keeps its hands off: with true it writes and deletes "
        "nothing but the status, so that you can change the proxy's objects by hand. Pods go on "
        "serving what they serve; changed Secrets and settings wait. With false again, whatever "
        "was changed by hand is put right.",
    )
    pod_template: PodTemplate = Field(
        default=PodTemplate(),
        description="What the proxy's pods have beyond what the operator gives them: resources, "
        "places to run, labels, time to end. A change makes new pods, one after another.",
    )


class ObjectMeta(APIModel):
    """What we need of an object's metadata."""

    name: str = Field(min_length=1, max_length=NAME_MAX, pattern=NAME_PATTERN)
    namespace: str = "default"
    uid: str = ""
    generation: int = 0

    @field_validator("name")
    @classmethod
    def _no_service_of_anothers(cls, name: str) -> str:
        if name.endswith(PEERS_SUFFIX):
            raise refuse(PEERS_NAME)
        return name


class DatabaseProxy(APIModel):
    """A pooled endpoint in front of a PostgreSQL server."""

    api_version: Literal["sluice.dev/v1alpha1"]
    kind: Literal["DatabaseProxy"]
    metadata: ObjectMeta
    spec: Spec
