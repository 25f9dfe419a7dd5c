"""What sessions see of each other: a server connection of its client, both of the proxy."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sluice_proxy.errors import ErrorFields
from sluice_proxy.pool.neighbours import Waiter
from sluice_proxy.session.inspection import Findings
from sluice_proxy.session.peer import Peer
from sluice_proxy.session.pinning import PinReason
from sluice_proxy.session.settings import DEFAULTS, Settings
from sluice_proxy.session.unseen import Unseen

if TYPE_CHECKING:
    from sluice_proxy.session.server import ServerConnection


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What a server said at the end of a login. `secret` is None if it gave no cancel key.

    `origin` is where a cancel request must go: known to the transport alone.
    `generation` counts the changes of where and how the server is reached. `settings` are
    what `initQuery` has set.
    """

    parameters: dict[bytes, bytes]
    pid: int
    secret: bytes | None
    origin: Any = None
    generation: int = 0
    settings: Settings = DEFAULTS


class Client(Waiter):
    """What a server connection sees of the client that holds it.

    `told` are the parameters as the client was last told of them.
    """

    __slots__ = ("leaving", "peer", "pid", "stalled", "told", "unnamed")

    peer: Peer
    pid: int
    unnamed: bytes | None
    told: dict[bytes, bytes]
    leaving: bool  # it said goodbye, and hears what it asked for before
    stalled: bool  # a message of the client's waits for the answer to one before

    @property
    @abstractmethod
    def mid_message(self) -> bool:
        """The first part of a message was sent to the server, the rest is still to come."""

    @property
    @abstractmethod
    def holds_long(self) -> bool:
        """A prepared statement of the client's was too long to be kept."""

    @abstractmethod
    def go_on(self) -> None:
        """Something was answered."""

    @abstractmethod
    def learn(self, parameters: dict[bytes, bytes]) -> None:
        """These are the parameters that the client knows of now."""

    @abstractmethod
    def keep(self, found: Findings) -> None:
        """This is what its session has set, now that the transaction is over."""

    @abstractmethod
    def clients_word(self, text: bytes) -> bytes:
        """`text` with the client's names of prepared statements."""

    @abstractmethod
    def on_wiped(self, tag: bytes) -> None:
        """DISCARD or DEALLOCATE ALL was done, as its completion says."""

    @abstractmethod
    def on_started(self, found: Findings | None) -> None:
        """With what the connection was started; None when that could not be read."""

    @abstractmethod
    def leave(self) -> None: ...

    @abstractmethod
    def on_released(self) -> None: ...

    @abstractmethod
    def on_server_lost(self, told: bool) -> None: ...

    @abstractmethod
    def on_refused(self, error: ErrorFields) -> None:
        """The session cannot go on with this connection, which is no longer the client's."""


class Keeper(ABC):
    """Whose the server connections are: told what becomes of each."""

    unseen: Unseen

    @abstractmethod
    def freed(self, server: "ServerConnection") -> None: ...

    @abstractmethod
    def unfit(self, server: "ServerConnection", reason: str) -> None: ...

    @abstractmethod
    def broken(self, server: "ServerConnection", reason: str) -> None:
        """Unfit by what it said, such as that it ends."""

    @abstractmethod
    def lost(self, server: "ServerConnection") -> None: ...

    @abstractmethod
    def closed(self, server: "ServerConnection") -> None: ...

    @abstractmethod
    def pinned(self, server: "ServerConnection", reasons: PinReason) -> None: ...

    @abstractmethod
    def read_only(self, server: "ServerConnection") -> None:
        """It refused to write."""

    @abstractmethod
    def excused(self) -> PinReason:
        """The reasons that the user vouches for."""

    @abstractmethod
    def vacate(self, databases: tuple[bytes, ...]) -> None:
        """Connections to these end: idle ones at once, the others with their clients' work."""

    @abstractmethod
    def pid_of(self, pid: int) -> int:
        """The process id that the client was given which last held the server process `pid`."""

    @abstractmethod
    def cancel_now(self, server: "ServerConnection") -> None:
        """A cancel request that came too early may go."""
