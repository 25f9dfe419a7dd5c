"""The budget of server connections and the wait for one, by the names of RDS Proxy."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from sluice_operator.api.model import SET, APIModel, each_once, refuse, rules
from sluice_proxy.config import INIT_QUERY_MAX, PinningFilter

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
        description="Share of the server's max_connections that all pods of this proxy may open "
        "together, in percent, rounded down; what the server keeps for superusers is left alone "
        "in any case. With 100 nothing is left for others: give less where they use the same "
        "server, and DatabaseProxies that share one no more than 100 together. A pod needs at "
        "least one connection, so 1 is enough only for a large server. A change is live at once.",
    )
    max_idle_connections_percent: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Share of the server's max_connections that all pods of this proxy may "
        "together keep open without use, in percent. What no client has used for 5 minutes is "
        "closed above it; 0 closes such connections after 5 seconds. Absent: 50, or "
        "maxConnectionsPercent where that is less. More spares logins after a quiet time; less "
        "spares memory of the server.",
    )
    connection_borrow_timeout_seconds: int = Field(
        default=120,
        ge=0,
        le=300,
        description="How long a client waits for a server connection, in seconds: while all are "
        "lent, or while the server starts, fails over or cannot be reached. Then it is told so "
        "and its connection ends. 0 waits for nothing. Give less where callers give up earlier.",
    )
    init_query: str = Field(
        default="",
        max_length=INIT_QUERY_MAX,
        pattern=r"^[^\x00]*$",
        description="SQL that is run on each new server connection before its first client, such "
        "as SET statements: every session begins with what they set, and a RESET leads to the "
        "server's own defaults. It is no place for secrets. When it fails, connections fail with "
        "the server's error. Empty: nothing is run.",
    )
    session_pinning_filters: Annotated[list[PinningFilter], each_once(FILTER_TWICE)] = Field(
        default_factory=list,
        max_length=9,
        description="What need not keep a client on its server connection, because the user "
        "vouches that its clients do not rely on it, or leave nothing behind. Empty: whatever a "
        "client may rely on pins, until the server shows that it is gone. Where that is not "
        "true, clients lose state, or find that of others.",
        json_schema_extra=SET,
    )

    @model_validator(mode="after")
    def _idle_within_all(self) -> Self:
        idle = self.max_idle_connections_percent
        if idle is not None and idle > self.max_connections_percent:
            raise refuse(IDLE_ABOVE_ALL)
        return self
