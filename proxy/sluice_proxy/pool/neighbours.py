"""What the pools know of those whom they speak to: connections, clients, and who connects."""

from abc import ABC, abstractmethod
from typing import Final, Protocol

from mypy_extensions import mypyc_attr

from sluice_proxy.errors import ProxyError
from sluice_proxy.pool.key import PoolKey

NOT_WAITING: Final = -1.0


@mypyc_attr(allow_interpreted_subclasses=True)
class Server(ABC):
    """What a pool knows of a server connection; `maintenance` notes its age, and more, here."""

    __slots__ = ("born", "idle_since", "lent", "retired", "stretch")

    idle_since: float
    lent: bool  # somebody holds it, or is about to
    born: float
    stretch: float  # its own part of the lifetime that all have
    retired: str  # why it serves nobody after its present client; empty if it does

    @abstractmethod
    def close(self, reason: str) -> None:
        """Ends the connection; `Pools.closed` follows when the server has let go of it."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Waiter(ABC):
    """Somebody who waits for a server connection. Exactly one of the two is called, once."""

    __slots__ = ("behind", "waits_since")

    waits_since: float  # by the pools' clock; NOT_WAITING while it does not
    behind: "Waiter | None"  # who came next; the pools' own

    @abstractmethod
    def grant(self, server: Server) -> None: ...

    @abstractmethod
    def refuse(self, error: ProxyError) -> None: ...


class Connector(Protocol):
    """Opens server connections; answers by `Pools.connected` or `Pools.connect_failed`."""

    def connect(self, key: PoolKey, delay: float) -> None: ...
