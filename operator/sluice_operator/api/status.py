"""What the operator reports of a DatabaseProxy: the schema of `status`."""

from typing import Literal

from pydantic import ConfigDict, Field

from sluice_operator.api.model import APIModel

Phase = Literal["Pending", "Running", "Draining", "Paused", "Waking", "Degraded"]
Health = Literal["Registering", "Available", "Unavailable"]


class Condition(APIModel):
    """One aspect of the proxy, as Kubernetes' own objects tell it."""

    type: str = Field(description="Which aspect.", min_length=1, max_length=316)
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(description="Why, as one CamelCase word.", min_length=1, max_length=1024)
    message: str = Field(description="Why, as a sentence.", max_length=32768)
    last_transition_time: str = Field(
        description="When status last changed.",
        max_length=64,
        json_schema_extra={"format": "date-time"},
    )
    observed_generation: int = Field(
        default=0,
        ge=0,
        description="The generation of the spec that this was said of.",
        json_schema_extra={"format": "int64"},
    )


class TargetStatus(APIModel):
    """A server as the proxy's pods see it."""

    host: str = Field(description="As in spec.targets.", max_length=253)
    port: int = Field(description="As in spec.targets.")
    health: Health = Field(
        description="Available: the proxy can log in. Unavailable: it cannot. Registering: the "
        "server was not asked yet."
    )
    reason: str = Field(
        default="",
        max_length=1024,
        description="Why it is Unavailable, as one word; the condition TargetsAvailable says it "
        "as a sentence.",
    )
    max_connections: int | None = Field(
        default=None, description="max_connections of the server, once it was asked."
    )


class PoolStatus(APIModel):
    """Sums over the pods; coarse, at most once a minute. Live figures are in the metrics."""

    budget: int = Field(
        default=0,
        description="Server connections that all pods may open together; 0 until a pod has asked "
        "the server for its max_connections.",
    )
    open: int = Field(default=0, description="Server connections that are open.")
    borrowed: int = Field(default=0, description="Server connections that serve a client now.")
    waiting: int = Field(default=0, description="Clients that wait for a server connection.")
    pinned: int = Field(default=0, description="Server connections tied to one client.")
    clients: int = Field(default=0, description="Clients that are connected.")


class Status(APIModel):
    """What is."""

    # So that what was just created has a status too, of generation 0: else kstatus takes an
    # object that the operator has not looked at yet for one that is done.
    model_config = ConfigDict(json_schema_extra={"default": {}})

    observed_generation: int = Field(
        default=0,
        ge=0,
        description="The generation of the spec that this status is about.",
        json_schema_extra={"format": "int64"},
    )
    phase: Phase = Field(
        default="Pending",
        description="The story in one word, for people; programs read conditions. Pending: no "
        "client can log in yet. Running: clients can. Draining: nobody used the proxy, and its "
        "pods are ending. Paused: it has no pod; the next client wakes it. Waking: its pods are "
        "starting, and clients are held until one listens. Degraded: something needs a look, "
        "though clients may be served all the same.",
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="Accepted, CredentialsReady, TargetsAvailable, Overcommitted, Progressing, "
        "Paused, Ready; and, only while they are True, Reconciling or Stalled for kstatus.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )
    endpoint: str = Field(
        default="", max_length=253, description="The host that clients connect to, port 5432."
    )
    targets: list[TargetStatus] = Field(
        default_factory=list,
        max_length=16,
        description="The servers.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["host", "port"],
        },
    )
    pool: PoolStatus = Field(
        default_factory=PoolStatus, description="Connections and clients, once a minute."
    )
    replicas: int = Field(
        default=0, ge=0, description="Proxy pods that there are, without those on their way out."
    )
    ready_replicas: int = Field(default=0, ge=0, description="Proxy pods that take clients.")
    selector: str = Field(
        default="", max_length=1024, description="Label selector of the proxy's pods."
    )
    config_hash: str = Field(
        default="", max_length=64, description="Name of the configuration that pods should serve."
    )
    ca_secret_name: str = Field(
        default="",
        max_length=253,
        description="Secret whose ca.crt verifies the proxy's certificate.",
    )
    paused_at: str | None = Field(
        default=None,
        max_length=64,
        description="Since when the proxy is paused; absent while it is not.",
        json_schema_extra={"format": "date-time"},
    )
    why_awake: str = Field(
        default="",
        max_length=1024,
        description="Why the proxy is not paused, in a sentence; empty while it is. At most once "
        "a minute.",
    )
