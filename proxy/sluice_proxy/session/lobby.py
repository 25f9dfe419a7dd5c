"""What a client asks of the proxy as a whole."""

from abc import abstractmethod
from typing import TYPE_CHECKING

from sluice_proxy.pool.key import PoolKey
from sluice_proxy.session.client_login import Login
from sluice_proxy.session.neighbours import Keeper
from sluice_proxy.session.profile import Profile, Start
from sluice_proxy.session.server import ServerConnection

if TYPE_CHECKING:
    from sluice_proxy.session.client import ClientSession


class Lobby(Keeper):
    """What a client asks of the proxy as a whole, which keeps the server connections."""

    @abstractmethod
    def now(self) -> float: ...

    @abstractmethod
    def acquire(self, client: "ClientSession") -> ServerConnection | None: ...

    @abstractmethod
    def give_up(self, client: "ClientSession") -> None: ...

    @abstractmethod
    def orphan(self, server: ServerConnection, cut: bool) -> None: ...

    @abstractmethod
    def profile(self, key: PoolKey) -> Profile | None:
        """How sessions with these startup parameters begin, if that is known."""

    @abstractmethod
    def start(self, profile: Profile, login: Login) -> Start: ...

    @abstractmethod
    def learn_profile(self, key: PoolKey, profile: Profile) -> None: ...

    @abstractmethod
    def borrowed(self, waited: float) -> None: ...

    @abstractmethod
    def unused(self, server: ServerConnection) -> None: ...

    @abstractmethod
    def gone(self, client: "ClientSession") -> None: ...
