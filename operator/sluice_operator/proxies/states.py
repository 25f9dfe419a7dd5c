"""Asks pods how they are, all at once, and takes silence for an answer."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import aiohttp

from sluice_operator.decide.observed import Pod
from sluice_operator.decide.references import Key
from sluice_operator.decide.state import ProxyState, parse_state
from sluice_operator.decide.wake import Wake, parse_wake
from sluice_operator.desired.inputs import Activator
from sluice_proxy.config import ADMIN_PORT

ANSWER_SECONDS = 2.0


class States:
    """Reads the states of pods; one session for all of them."""

    def __init__(self, port: int = ADMIN_PORT):
        self._port = port
        # Pods come and go: a kept connection would hold on to one that is gone.
        connector = aiohttp.TCPConnector(force_close=True, limit=64)
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)

    async def close(self) -> None:
        await self._session.close()

    async def of(self, pods: Iterable[Pod]) -> Mapping[str, ProxyState]:
        """What the pods that answered said, by name. Never raises for a pod."""
        asked = [pod for pod in pods if pod.ip]
        answers = await asyncio.gather(*(self._ask(pod.ip) for pod in asked))
        return {
            pod.name: answer
            for pod, answer in zip(asked, answers, strict=True)
            # Another pod may have got the address since.
            if answer is not None and answer.pod in ("", pod.name)
        }

    async def wake(self, key: Key, activators: Iterable[Activator]) -> Wake | None:
        """The last wake of a proxy, by whichever activator did it."""
        path = f"/wakes/{key[0]}/{key[1]}"
        answers = await asyncio.gather(*(self._get(item.ip, path) for item in activators))
        told = filter(None, map(parse_wake, answers))
        return max(told, key=lambda wake: wake.at, default=None)

    async def _ask(self, ip: str) -> ProxyState | None:
        return parse_state(await self._get(ip, "/state"))

    async def _get(self, ip: str, path: str) -> Any:
        """What JSON says there; None for whoever does not answer with any."""
        host = f"[{ip}]" if ":" in ip else ip
        try:
            async with self._session.get(f"http://{host}:{self._port}{path}") as answer:
                return await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
