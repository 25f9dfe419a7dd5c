"""Other clients of the same role and database, who keep every server connection moving."""

import asyncio
import random
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import psycopg

from sluice_testing.door import Door

SHOWN = (
    b"SELECT current_setting('TimeZone'), current_setting('search_path'), "
    b"current_setting('application_name'), %s::int"
)
# What a neighbour has without setting anything comes with its startup packet.
PLAIN = ("UTC", '"$user", public', "neighbour")
SETTING = ("Pacific/Auckland", "the_neighbours", "neighbour who sets")
TRANSACTIONS = 40  # until a neighbour leaves and comes again


@dataclass
class Neighbours:
    """While this context lasts they run short transactions and look at their settings."""

    door: Door
    plain: int = 3
    setting: int = 3
    transactions: int = 0
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __enter__(self) -> "Neighbours":
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._leaving.set()
        self._thread.join()

    async def _all(self) -> None:
        settings = [PLAIN] * self.plain + [SETTING] * self.setting
        await asyncio.gather(*(self._one(expected) for expected in settings))

    async def _one(self, expected: tuple[str, str, str]) -> None:
        while not self._leaving.is_set():
            try:
                async with await self.door.connect_async(application_name="neighbour") as client:
                    await self._session(client, expected)
            except psycopg.Error as error:
                self.errors.append(" ".join(str(error).split()))
                await asyncio.sleep(0.2)

    async def _session(
        self, client: psycopg.AsyncConnection[Any], expected: tuple[str, str, str]
    ) -> None:
        if expected is SETTING:
            await _set(client, expected)
        for number in range(TRANSACTIONS):
            if self._leaving.is_set():
                return
            async with client.transaction():
                row = await (await client.execute(SHOWN, [number])).fetchone()
            self.transactions += 1
            if row != (*expected, number):
                self.wrong.append(f"{row} and not {(*expected, number)}")
            await asyncio.sleep(random.uniform(0.005, 0.03))


async def _set(client: psycopg.AsyncConnection[Any], values: tuple[str, str, str]) -> None:
    names = ("TimeZone", "search_path", "application_name")
    for name, value in zip(names, values, strict=True):
        await client.execute("SELECT set_config(%s, %s, false)", [name, value])
