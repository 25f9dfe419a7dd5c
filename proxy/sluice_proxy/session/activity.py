"""Since when no client has been there: what says whether a proxy may pause."""

from collections.abc import Callable


def _nobody() -> bool:
    return False


class Activity:
    """How many clients came, and how long ago the last one was there.

    A client has said that it is one: with SSLRequest, GSSENCRequest, a StartupMessage or a TLS
    handshake. Who only connects, or cancels, is none. `clock` gives seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._present = False
        self._seen_at = clock()
        # Whether one is logging in.
        self.logs_in: Callable[[], bool] = _nobody
        # When the last one came; the start, if none did.
        self.came_at = self._seen_at
        # Never goes back: who asks twice knows whether somebody came in between.
        self.accepted = 0

    def came(self) -> None:
        """One more client."""
        self.accepted += 1
        self.came_at = self._clock()
        self.look(there=True)

    def look(self, there: bool) -> None:
        """Whether a client is there that has logged in; called some times a second."""
        self._present = there or self.logs_in()
        if self._present:
            self._seen_at = self._clock()

    @property
    def idle_seconds(self) -> float:
        """For how long no client has been there; 0 while one is."""
        return 0.0 if self._present else max(0.0, self._clock() - self._seen_at)
