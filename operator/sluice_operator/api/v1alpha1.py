"""`DatabaseProxy`, the one model behind the CRD, the parser and `sluice run`.

Names follow RDS Proxy's in camelCase. What the schema of a CRD cannot say stands as a
CEL rule in `x-kubernetes-validations`, and as a validator here that says the same.
"""

from typing import Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from sluice_operator.api.model import (
    ATOMIC,
    SET,
    APIModel,
    ObjectName,
    SecretKey,
    merged,
    refuse,
    rules,
)
from sluice_operator.api.network import Network
from sluice_proxy.config import INIT_QUERY_MAX, PinningFilter

NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
NAME_MAX = 50
"""Longest name of a DatabaseProxy: with our suffixes it stays a DNS label (63)."""

HOST_PATTERN = r"^[A-Za-z0-9:]([-_.:A-Za-z0-9]*[A-Za-z0-9:])?$"


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
        "and be issued for the target's host.",
    )
    ca_secret_ref: CASecretRef | None = Field(
        default=None, description="The CA that signed the server's certificate."
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


IDLE_ABOVE_ALL = "maxIdleConnectionsPercent must not be above maxConnectionsPercent"
FILTER_TWICE = "a filter stands twice"


class ConnectionPool(APIModel):
    """How many server connections there may be, and how long clients wait for one."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.maxIdleConnectionsPercent) || !has(self.maxConnectionsPercent) || "
                "self.maxIdleConnectionsPercent <= self.maxConnectionsPercent",
                IDLE_ABOVE_ALL,
            )
        )
    )

    max_connections_percent: int = Field(
        default=100,
        ge=1,
        le=100,
        description="Share of the server's max_connections that all pods of this proxy may "
        "open together, in percent.",
    )
    max_idle_connections_percent: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Share of the server's max_connections that all pods of this proxy may "
        "together keep open without use, in percent. What no client has used for 5 minutes is "
        "closed above it; 0 closes such connections after 5 seconds. Absent: 50, or "
        "maxConnectionsPercent where that is less.",
    )
    connection_borrow_timeout_seconds: int = Field(
        default=120,
        ge=0,
        le=300,
        description="How long a client waits for a server connection, in seconds; 0 fails at once.",
    )
    init_query: str = Field(
        default="",
        max_length=INIT_QUERY_MAX,
        pattern=r"^[^\x00]*$",
        description="SQL that is run on each new server connection before its first client, such "
        "as SET statements: every session begins with what they set, and a RESET leads to the "
        "server's own defaults. It is no place for secrets. When it fails, connections fail with "
        "the server's error.",
    )
    session_pinning_filters: list[PinningFilter] = Field(
        default_factory=list,
        max_length=9,
        description="What need not keep a client on its server connection, because the user "
        "vouches that its clients do not rely on it, or leave nothing behind.",
        json_schema_extra=SET,
    )

    @model_validator(mode="after")
    def _idle_within_all(self) -> Self:
        idle = self.max_idle_connections_percent
        if idle is not None and idle > self.max_connections_percent:
            raise refuse(IDLE_ABOVE_ALL)
        return self

    @field_validator("session_pinning_filters")
    @classmethod
    def _each_filter_once(cls, filters: list[PinningFilter]) -> list[PinningFilter]:
        if len(set(filters)) != len(filters):
            raise refuse(FILTER_TWICE)
        return filters


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

    @field_validator("auth")
    @classmethod
    def _each_secret_once(cls, auth: list[Auth]) -> list[Auth]:
        secrets = [entry.secret_ref.name for entry in auth]
        if len(set(secrets)) != len(secrets):
            raise refuse(SECRET_TWICE)
        return auth


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
