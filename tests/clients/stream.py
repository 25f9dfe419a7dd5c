"""New clients at an even rate, of several kinds at once; what became of each goes to stdout.

Of each kind one client begins every so many milliseconds: it connects, runs SELECT 1 and closes.
Nobody waits for those before him, so that one that is held delays nobody. Where they connect to
comes from libpq's environment; the name is looked up once, for it is the proxy that is tried
here and not the cluster's DNS.

One JSON object per line: `begin`, `tick` (twice a second), `error` (each client that failed) and,
as the last one, `end`. Times are seconds, `at` since the start, `begun` since the epoch.
"""

import argparse
import asyncio
import json
import os
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg

KINDS: dict[str, dict[str, str]] = {
    "plain": {"sslmode": "disable"},
    "tls": {"sslmode": "verify-full"},
    "binding": {"sslmode": "verify-full", "channel_binding": "require"},
    "direct": {"sslmode": "verify-full", "sslnegotiation": "direct"},
}
CONNECT_SECONDS = 60
"""Longer than an activator holds a client."""
TICK_SECONDS = 0.5
SECOND_DIGITS = 4


class Stream:
    """All clients of one run, and what became of them."""

    def __init__(self, kinds: list[str], every: float, password: str, enough: Path | None) -> None:
        self._kinds = kinds
        self._every = every
        self._enough = enough
        host = os.environ["PGHOST"]
        address = socket.gethostbyname(host)
        self._common = {"host": host, "hostaddr": address, "password": password}
        self._begin = time.monotonic()
        self._begun: Counter[str] = Counter()
        self._ok: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._taken: dict[str, list[float]] = {kind: [] for kind in kinds}
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, seconds: float) -> None:
        self._tell("begin", kinds=self._kinds, every=self._every)
        ticker = asyncio.create_task(self._tick())
        number = 0
        while self._now() < seconds and not (self._enough and self._enough.exists()):
            self._start_one_of_each()
            number += 1
            await asyncio.sleep(max(0.0, number * self._every - self._now()))
        while self._under_way:
            await asyncio.wait(self._under_way)
        ticker.cancel()
        self._tell("end", by_kind={kind: self._summary(kind) for kind in self._kinds})

    def _start_one_of_each(self) -> None:
        for kind in self._kinds:
            self._begun[kind] += 1
            task = asyncio.create_task(self._client(kind))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _client(self, kind: str) -> None:
        begin, begun = time.monotonic(), time.time()
        try:
            await self._converse(kind)
        except (psycopg.Error, OSError) as error:
            self._errors[kind] += 1
            after = round(time.monotonic() - begin, SECOND_DIGITS)
            self._tell("error", kind=kind, begun=begun, after=after, **_told(error))
        else:
            self._ok[kind] += 1
            self._taken[kind].append(time.monotonic() - begin)

    async def _converse(self, kind: str) -> None:
        connection = await psycopg.AsyncConnection.connect(
            **self._common, **KINDS[kind], connect_timeout=CONNECT_SECONDS, autocommit=True
        )
        try:
            row = await (await connection.execute("SELECT 1")).fetchone()
        finally:
            await connection.close()
        if row != (1,):
            raise psycopg.DataError(f"SELECT 1 gave {row}")

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._tell("tick", **self._counts(), under_way=len(self._under_way))

    def _counts(self) -> dict[str, Any]:
        return {"begun": self._begun.total(), "ok": self._ok.total(),
                "errors": self._errors.total()}  # fmt: skip

    def _summary(self, kind: str) -> dict[str, Any]:
        """`taken`: from the first SYN to the end, of those that were served."""
        taken = [round(seconds, SECOND_DIGITS) for seconds in self._taken[kind]]
        return {
            "begun": self._begun[kind],
            "ok": self._ok[kind],
            "errors": self._errors[kind],
            "taken": taken,
        }

    def _now(self) -> float:
        return time.monotonic() - self._begin

    def _tell(self, event: str, **facts: Any) -> None:
        print(json.dumps({"event": event, "at": round(self._now(), 3), **facts}), flush=True)


def _told(error: Exception) -> dict[str, str]:
    text = " ".join(str(error).split()) or type(error).__name__
    return {"sqlstate": getattr(error, "sqlstate", None) or "", "text": text}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--every", type=float, default=0.05)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--enough", type=Path)
    chosen = parser.parse_args()
    password = chosen.password_file.read_text().strip()
    stream = Stream(chosen.kinds.split(","), chosen.every, password, chosen.enough)
    asyncio.run(stream.run(chosen.seconds))


if __name__ == "__main__":
    main()
