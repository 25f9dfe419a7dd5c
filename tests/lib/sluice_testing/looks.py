"""A proxy that is looked at again and again, with an API server, pods and a clock in memory."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sluice_operator.cluster.store import Store
from sluice_operator.reconcile import Reconciler
from sluice_proxy.config import CONFIG_KEY, ProxyConfig
from sluice_proxy.config import parse as parse_config
from sluice_testing.api_server import (
    KEY,
    Api,
    Clock,
    Pods,
    Standins,
    config_hash,
    roll_out,
    written_by_another,
)

DEPLOYMENT = ("Deployment", "shop", "orders-proxy")
IDLE = 400.0
"""Seconds: more than spec.autoPause.idleSeconds asks for by default."""


@dataclass
class Looks:
    """All that a look looks at."""

    api: Api
    pods: Pods
    store: Store
    clock: Clock
    activators: Standins
    reconciler: Reconciler

    async def look(self) -> float | None:
        """One look; what it wrote is in `api.written` alone."""
        self.api.written.clear()
        return await self.reconciler.reconcile(KEY)

    async def settle(self) -> float | None:
        """Looks until one writes nothing: pods take each document at once."""
        for _ in range(12):
            self.pods.config_hash = config_hash(self.api)
            again = await self.look()
            if not self.api.written:
                return again
        raise AssertionError(self.api.written)

    @property
    def replicas(self) -> int:
        found: int = self.api.objects[DEPLOYMENT]["spec"]["replicas"]
        return found

    @property
    def document(self) -> ProxyConfig:
        secret = self.api.objects["Secret", "shop", "orders-proxy-config"]
        return parse_config(base64.b64decode(secret["data"][CONFIG_KEY]).decode())

    @property
    def scaled(self) -> list[str]:
        return [written for written in self.api.written if written.startswith("scale")]

    def change(self, **spec: Any) -> None:
        """The user's change of the spec, as a watch tells it."""
        proxy = self.api.objects["DatabaseProxy", *KEY]
        proxy["spec"].update(spec)
        proxy["metadata"]["generation"] += 1
        self.store.put(proxy)

    def event(self, reason: str) -> str:
        """The words of the Event for `reason`; empty if there is none."""
        found = (
            item["message"]
            for key, item in self.api.objects.items()
            if key[0] == "Event" and item["reason"] == reason
        )
        return next(found, "")

    def forget_events(self) -> None:
        for key in [key for key in self.api.objects if key[0] == "Event"]:
            del self.api.objects[key]

    def at_the_second_question(self, happens: Callable[[], None]) -> None:
        """Of the next look."""
        second = self.pods.asked + 2
        self.pods.on_question = lambda number: happens() if number == second else None


def wake(looks: Looks) -> None:
    """An activator scales it, and its pods come up."""
    written_by_another(looks.api, replicas=2)
    roll_out(looks.api, looks.store)
    looks.pods.idle_seconds = 0.0
