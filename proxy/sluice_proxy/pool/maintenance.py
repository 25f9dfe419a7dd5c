"""Which server connections have served their time: decided by the clock it is given."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from sluice_proxy.clock import Clock
from sluice_proxy.pool.neighbours import Server

IDLE_AFTER: Final = 300.0
"""Seconds without a client after which a connection is idle, as RDS Proxy counts it."""

IDLE_AFTER_IF_NONE_STAYS: Final = 5.0
"""The same where no idle connection is to be kept at all."""

LIFETIME: Final = 3600.0
# Each connection lives up to so much longer or shorter, so that those that were opened
# together do not end together.
_JITTER: Final = 0.1
# Seconds between two looks at idle connections.
_INTERVAL: Final = 1.0


Connection = TypeVar("Connection", bound=Server)


class Maintenance:
    """The age of each connection, and whether somebody wants to see it go.

    `dice` gives numbers from 0 up to 1.
    """

    def __init__(self, clock: Clock, dice: Callable[[], float]):
        self._clock = clock
        self._dice = dice
        self._looked_at = clock.now
        self.lifetime = LIFETIME
        # None until the server has told its max_connections.
        self.keep_idle: int | None = None

    def admit(self, server: Server) -> None:
        """A new connection."""
        server.born = self._clock.now
        server.stretch = 1 + _JITTER * (2 * self._dice() - 1)
        server.retired = ""

    def retire(self, server: Server, reason: str) -> None:
        """`server` serves nobody after its present client."""
        server.retired = server.retired or reason

    def verdict(self, server: Server) -> str:
        """Why `server` is not for another client; empty if it is."""
        if self._clock.now >= server.born + self.lifetime * server.stretch:
            return "it has lived long enough"
        return server.retired

    def is_due(self) -> bool:
        """Whether it is time to look at idle connections again."""
        now = self._clock.now
        due = now >= self._looked_at + _INTERVAL
        if due:
            self._looked_at = now
        return due

    def finished(self, idle: Iterable[Connection]) -> list[tuple[Connection, str]]:
        """Of those that rest, the ones to be closed and why: too old, or too many."""
        judged = [(server, self.verdict(server)) for server in idle]
        old = [(server, reason) for server, reason in judged if reason]
        many = self._surplus([server for server, reason in judged if not reason])
        return old + [(server, "more are idle than are kept") for server in many]

    def _surplus(self, idle: list[Connection]) -> list[Connection]:
        """Those that are too many, oldest first."""
        if self.keep_idle is None:
            return []
        limit = self._clock.now - (IDLE_AFTER if self.keep_idle else IDLE_AFTER_IF_NONE_STAYS)
        long_idle = [server for server in idle if server.idle_since <= limit]
        long_idle.sort(key=lambda server: server.idle_since)
        return long_idle[: max(0, len(long_idle) - self.keep_idle)]
