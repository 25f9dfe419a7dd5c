"""What sessions see of each other: a server connection of its client, both of the proxy."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sluice_proxy.errors import ErrorFields
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


class Client(Protocol):
    """What a server connection sees of the client that holds it.

    `told` are the parameters as the client was last told of them.
    """

    peer: Peer
    pid: int
    unnamed: bytes | None
    told: dict[bytes, bytes]
    leaving: bool  # it said goodbye, and hears what it asked for before
    stalled: bool  # a message of the client's waits for the answer to one before

    @property
    def mid_message(self) -> bool:
        """The first part of a message was sent to the server, the rest is still to come."""

    @property
    def holds_long(self) -> bool:
        """A prepared statement of the client's was too long to be kept."""

    def go_on(self) -> None:
        """Something was answered."""

    def learn(self, parameters: dict[bytes, bytes]) -> None:
        """These are the parameters that the client knows of now."""

    def keep(self, found: Findings) -> None:
        """This is what its session has set, now that the transaction is over."""

    def clients_word(self, text: bytes) -> bytes:
        """`text` with the client's names of prepared statements."""

    def on_wiped(self, tag: bytes) -> None:
        """DISCARD or DEALLOCATE ALL was done, as its completion says."""

    def on_started(self, found: Findings | None) -> None:
        """With what the connection was started; None when that could not be read."""

    def leave(self) -> None: ...

    def on_released(self) -> None: ...

    def on_server_lost(self, told: bool) -> None: ...

    def on_refused(self, error: ErrorFields) -> None:
        """The session cannot go on with this connection, which is no longer the client's."""


class Keeper(Protocol):
    """Whose the server connections are: told what becomes of each."""

    unseen: Unseen

    def freed(self, server: "ServerConnection") -> None: ...

    def unfit(self, server: "ServerConnection", reason: str) -> None: ...

    def broken(self, server: "ServerConnection", reason: str) -> None:
        """Unfit by what it said, such as that it ends."""

    def lost(self, server: "ServerConnection") -> None: ...

    def closed(self, server: "ServerConnection") -> None: ...

    def pinned(self, server: "ServerConnection", reasons: PinReason) -> None: ...

    def read_only(self, server: "ServerConnection") -> None:
        """It refused to write."""

    def excused(self) -> PinReason:
        """The reasons that the user vouches for."""

    def vacate(self, databases: tuple[bytes, ...]) -> None:
        """Connections to these end: idle ones at once, the others with their clients' work."""

    def pid_of(self, pid: int) -> int:
        """The process id that the client was given which last held the server process `pid`."""

    def cancel_now(self, server: "ServerConnection") -> None:
        """A cancel request that came too early may go."""
