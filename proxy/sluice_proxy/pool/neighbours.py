"""What the pools know of those whom they speak to: connections, clients, and who connects."""

from typing import Protocol

from sluice_proxy.errors import ProxyError
from sluice_proxy.pool.key import PoolKey


class Server(Protocol):
    """What a pool knows of a server connection."""

    idle_since: float

    def close(self, reason: str) -> None:
        """Ends the connection; `Pools.closed` follows when the server has let go of it."""


class Waiter(Protocol):
    """Somebody who waits for a server connection. Exactly one of the two is called, once."""

    def grant(self, server: Server) -> None: ...

    def refuse(self, error: ProxyError) -> None: ...


class Connector(Protocol):
    """Opens server connections; answers by `Pools.connected` or `Pools.connect_failed`."""

    def connect(self, key: PoolKey, delay: float) -> None: ...
