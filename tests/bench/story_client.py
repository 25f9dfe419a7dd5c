"""A process of `make bench-story`: its part of the clients. A Plan on stdin, their fates on stdout.

A client that blocks is a thread; while it holds its connection and does nothing, it is none.
"""

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from sluice_testing.door import Door
from sluice_testing.raw import RawClient, Refused

ROWS = 10_000
_THREADS = 256
_PATIENCE = 60.0


@dataclass(frozen=True)
class Plan:
    """Whom to visit, and when: `begin` in seconds since the epoch, `arrivals` after it."""

    host: str
    port: int
    ca_file: str
    begin: float
    hold: float
    arrivals: list[float]


@dataclass
class Fate:
    """Seconds: how late it came, what its login and its queries took. `error`: it failed."""

    late: float = 0.0
    connect: float = 0.0
    first_query: float = 0.0
    second_query: float = 0.0
    error: str = ""


class Crowd:
    """All clients of a plan."""

    def __init__(self, plan: Plan):
        self._plan = plan
        self._door = Door(plan.host, plan.port, plan.ca_file)
        # One context: its certificates would be read anew for each client.
        self._context = self._door.tls_context()

    async def run(self) -> list[Fate]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
        numbered = enumerate(self._plan.arrivals)
        return await asyncio.gather(*(self._live(number, after) for number, after in numbered))

    async def _live(self, number: int, after: float) -> Fate:
        """Comes, asks, holds its connection; every second one asks once more; leaves."""
        fate = Fate()
        due = self._plan.begin + after
        await asyncio.sleep(due - time.time())
        try:
            client = await asyncio.to_thread(self._enter, fate, due)
            try:
                await asyncio.sleep(self._plan.hold / 2)
                if number % 2:
                    fate.second_query = await asyncio.to_thread(ask, client, number)
                await asyncio.sleep(self._plan.hold / 2)
            finally:
                client.close()
        except Refused as refused:
            fate.error = refused.fields.get("M", "refused")
        except OSError as error:
            fate.error = type(error).__name__
        return fate

    def _enter(self, fate: Fate, due: float) -> RawClient:
        fate.late = time.time() - due
        began = time.perf_counter()
        client = RawClient(self._door.host, self._door.port, timeout=_PATIENCE)
        try:
            client.start_tls(self._context)
            client.log_in(self._door.password, user=self._door.user, database=self._door.database)
            fate.connect = time.perf_counter() - began
            fate.first_query = ask(client, hash(due))
        except BaseException:
            client.close()
            raise
        return client


def ask(client: RawClient, number: int) -> float:
    """Seconds that a row by its key took."""
    began = time.perf_counter()
    client.value(f"SELECT note FROM orders WHERE id = {1 + number % ROWS}")
    return time.perf_counter() - began


def main() -> None:
    given: dict[str, Any] = json.load(sys.stdin)
    fates = asyncio.run(Crowd(Plan(**given)).run())
    json.dump([asdict(fate) for fate in fates], sys.stdout)


if __name__ == "__main__":
    main()
