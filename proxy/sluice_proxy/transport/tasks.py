"""Background tasks that are not lost: each has a name, is kept alive, and reports its failure."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterator
from typing import Any

log = logging.getLogger(__name__)


@contextlib.contextmanager
def survived(what: str) -> Iterator[None]:
    """One round of something periodic: its failure is told, and the next round comes."""
    try:
        yield
    except Exception:
        log.exception("task failed", extra={"task": what})


class Tasks:
    """The tasks of one component; `cancel` ends them all."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("task failed", exc_info=task.exception(), extra={"task": task.get_name()})

    async def cancel(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
