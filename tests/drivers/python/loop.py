"""One event loop in a thread of its own, for drivers that are coroutines."""

import asyncio
import threading
from collections.abc import Awaitable
from typing import Any

from columns import PATIENCE

_loop = asyncio.new_event_loop()
threading.Thread(target=_loop.run_forever, daemon=True).start()


def wait(awaitable: Awaitable[Any]) -> Any:
    """Its result, from any thread."""
    return asyncio.run_coroutine_threadsafe(_of(awaitable), _loop).result(2 * PATIENCE)


async def _of(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
