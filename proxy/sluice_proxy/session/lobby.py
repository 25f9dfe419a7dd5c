"""What a client asks of the proxy as a whole."""

from typing import TYPE_CHECKING, Protocol

from sluice_proxy.pool.key import PoolKey
from sluice_proxy.session.client_login import Login
from sluice_proxy.session.profile import Profile, Start
from sluice_proxy.session.server import ServerConnection

if TYPE_CHECKING:
    from sluice_proxy.session.client import ClientSession


class Lobby(Protocol):
    """What a client asks of the proxy as a whole."""

    def now(self) -> float: ...

    def acquire(self, client: "ClientSession") -> ServerConnection | None: ...

    def take_idle(self, key: PoolKey) -> ServerConnection | None:
        """An idle server connection, borrowed by this; None where one would have to wait."""

    def give_up(self, client: "ClientSession") -> None: ...

    def orphan(self, server: ServerConnection, cut: bool) -> None: ...

    def profile(self, key: PoolKey) -> Profile | None:
        """How sessions with these startup parameters begin, if that is known."""

    def start(self, profile: Profile, login: Login) -> Start: ...

    def learn_profile(self, key: PoolKey, profile: Profile) -> None: ...

    def borrowed(self, waited: float) -> None: ...

    def unused(self, server: ServerConnection) -> None: ...

    def gone(self, client: "ClientSession") -> None: ...
