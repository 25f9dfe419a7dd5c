"""Everybody who is at the door: accepted, and neither in nor gone yet."""

from collections.abc import Callable

from sluice_proxy.errors import ProxyError
from sluice_proxy.metrics import Counters
from sluice_proxy.session.client_login import Door
from sluice_proxy.session.doorway import LOGIN_TIMEOUT, Doorway, Inside


class Logins:
    """The doorways of one proxy. `clock` gives seconds, monotonic."""

    def __init__(self, inside: Inside, counters: Counters, clock: Callable[[], float]):
        self._inside = inside
        self._counters = counters
        self._clock = clock
        self._door: Door
        self._context: object = None
        self._doorways: set[Doorway] = set()

    def adopt(self, door: Door, context: object) -> None:
        """What is asked of clients from now on; `context` is the one for TLS, None without."""
        self._door = door
        self._context = context

    def begin(self) -> Doorway:
        """Somebody was accepted; the caller gives the doorway its peer."""
        self._counters.clients_accepted += 1
        doorway = Doorway(
            self._door, self._context, self._inside, self._counters, self._clock()
        )  # fmt: skip
        self._doorways.add(doorway)
        return doorway

    @property
    def under_way(self) -> bool:
        """Whether a client is logging in."""
        return any(doorway.is_client and not doorway.done for doorway in self._doorways)

    @property
    def silent(self) -> bool:
        """Whether there is somebody of whom it is not known yet if it is a client."""
        return any(not (doorway.is_client or doorway.done) for doorway in self._doorways)

    def expire(self) -> None:
        """Ends who takes too long; called now and then."""
        limit = self._clock() - LOGIN_TIMEOUT
        self._doorways = {doorway for doorway in self._doorways if not doorway.done}
        for doorway in list(self._doorways):
            if doorway.began < limit:
                doorway.end(ProxyError("canceling authentication due to timeout", sqlstate="08006"))

    def end(self, error: ProxyError) -> None:
        """Tells everybody why they may not come in."""
        for doorway in list(self._doorways):
            doorway.end(error)
