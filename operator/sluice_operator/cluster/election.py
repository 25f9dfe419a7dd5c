"""Leads while a Lease is ours.

The official client has a leader election, but it neither gives the Lease up at a clean stop
nor bounds the time of a renewal: a request that hangs would leave two leaders.
"""

import asyncio
import logging
import time
from typing import Any

from sluice_operator.cluster.client import Client
from sluice_operator.cluster.errors import ApiError, Conflict
from sluice_operator.decide import lease as rules

log = logging.getLogger(__name__)

REQUEST_SECONDS = 3.0
"""Seconds for one request: two may fail before a leader has to give up."""


class LeaseLost(Exception):
    """Another may lead from now on: everything must stop at once."""


class Election:
    """One candidate for the Lease `namespace`/`name`."""

    def __init__(self, client: Client, namespace: str, name: str, identity: str):
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._seen = rules.Sighting()
        self._ours: dict[str, Any] = {}
        self._beat = time.monotonic()

    @property
    def is_leader(self) -> bool:
        return bool(self._ours)

    def is_alive(self) -> bool:
        """Whether looks and renewals go on, even if they fail."""
        return time.monotonic() - self._beat < 2 * rules.DURATION

    async def acquire(self) -> None:
        """Returns when the Lease is ours."""
        while not await self._try():
            await asyncio.sleep(rules.LOOK_EVERY)
        log.info("leading as %s", self._identity)

    async def hold(self) -> None:
        """Renews until that fails for too long. Raises LeaseLost."""
        renewed = time.monotonic()
        while time.monotonic() - renewed < rules.GIVE_UP_AFTER:
            await asyncio.sleep(rules.RENEW_EVERY)
            began = time.monotonic()
            # A process that was stopped for long wakes up here: another may lead already.
            if began - renewed < rules.GIVE_UP_AFTER and await self._renew():
                renewed = began
        self._ours = {}
        raise LeaseLost

    async def release(self) -> None:
        """Lets the next candidate lead at once; nothing may be written afterwards."""
        if not self._ours:
            return
        given_up, self._ours = rules.released(self._ours, time.time()), {}
        try:
            await self._client.replace(given_up, REQUEST_SECONDS)
        except ApiError as error:
            log.warning("the Lease was not given up: %s", error)

    async def _try(self) -> bool:
        self._beat = time.monotonic()
        try:
            return await self._look()
        except Conflict:
            return False  # another candidate was faster
        except ApiError as error:
            log.warning("no look at the Lease: %s", error)
            return False

    async def _look(self) -> bool:
        where = ("Lease", self._namespace, self._name)
        found = await self._client.get(*where, seconds=REQUEST_SECONDS)
        now = time.monotonic()
        if found is None:
            wanted = rules.taken(rules.fresh(self._name, self._namespace), self._identity, _wall())
            self._ours = await self._client.create(wanted)
            return True
        self._seen = rules.sighted(found, self._seen, now)
        if not rules.may_take(found, self._seen, self._identity, now):
            return False
        await self._take(found)
        return True

    async def _renew(self) -> bool:
        self._beat = time.monotonic()
        try:
            await self._take(self._ours)
        except Conflict:
            return await self._is_still_ours()
        except ApiError as error:
            log.warning("the Lease was not renewed: %s", error)
            return False
        return True

    async def _is_still_ours(self) -> bool:
        """After a conflict: somebody annotated the Lease, or took it."""
        try:
            where = ("Lease", self._namespace, self._name)
            found = await self._client.get(*where, seconds=REQUEST_SECONDS) or {}
        except ApiError:
            return False
        if (found.get("spec") or {}).get("holderIdentity") != self._identity:
            self._ours = {}
            raise LeaseLost
        self._ours = found
        return False

    async def _take(self, found: dict[str, Any]) -> None:
        wanted = rules.taken(found, self._identity, _wall())
        self._ours = await self._client.replace(wanted, REQUEST_SECONDS)


def _wall() -> float:
    return time.time()
