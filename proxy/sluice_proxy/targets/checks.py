"""When the proxy logs in only to see whether it can: at its start, and when that is in doubt."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final, Protocol

from sluice_proxy.config import User
from sluice_proxy.targets.health import AVAILABLE, TargetHealth

# Seconds between two rounds while somebody is to be asked.
RECHECK: Final = 5.0
# Seconds in which all connections that are lost are cause for one round.
GATHER: Final = 0.5


class Connector(Protocol):
    """Logs in; what came of it is the target's health."""

    async def check(self, user: str, database: str) -> bool:
        """False if there is no room in the budget to try."""


class Checks:
    """Who is to be asked, and when. While all is well and nothing ends, nobody is.

    So an idle database is left alone, and may pause.
    """

    def __init__(self, connector: Connector, health: TargetHealth):
        self._connector = connector
        self._health = health
        self._due: set[str] = set()
        self._lost = False
        self._in_vain = False
        self._asked = asyncio.Event()
        self._asked.set()

    def ask(self) -> None:
        """One login of each role, at once, however well the target seems."""
        self._asked.set()

    def lost(self, used: bool) -> None:
        """A server connection ended that the proxy had not closed; `used`: clients had had it.

        A server that lets in who asks, and then ends what no client used, ends what idles:
        to ask again each time would keep it awake.
        """
        self._in_vain = self._in_vain and not used
        if not self._in_vain:
            self._lost = True
            self._asked.set()

    async def round(self, users: Sequence[User]) -> None:
        """Asks who is due, one after the other. For whom there is no room stays due."""
        names = {user.name for user in users}
        lost, self._lost = self._lost, False
        if self._asked.is_set():
            self._asked.clear()
            self._due = set(names)
        self._due = (self._due | self._health.unproven(names)) & names
        # First who does not get in: if there is room for one, another would take it each time.
        for user in sorted(users, key=lambda user: user.name not in self._health.roles):
            if user.name in self._due and await self._connector.check(user.name, user.database):
                self._due.discard(user.name)
        self._in_vain = self._health.state == AVAILABLE and (lost or self._in_vain)

    async def pause(self) -> None:
        """Until the next round."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECHECK):
                await self._asked.wait()
                if self._lost:
                    await asyncio.sleep(GATHER)
