"""An activator within the test's own event loop: its waits can be shortened, its leaks be seen."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from sluice_activator.app import App, Settings
from sluice_activator.kubernetes.account import Account
from sluice_testing.activating import NAME, PROXY, UID, addresses
from sluice_testing.postgres import free_port
from sluice_testing.raw import Message
from sluice_testing.slices_api import Manifest, Scale, SlicesApi, endpoint, pods, registration
from sluice_testing.stand_in import StandIn

PATIENCE = 10.0


@dataclass
class Visitor:
    """A client that says and reads bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self, size: int = 1) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """All that comes until the end; a reset is one."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read()
        return b""

    async def error(self) -> dict[str, str]:
        """The fields of the ErrorResponse that is all that comes."""
        told = await self.rest()
        assert told[:1] == b"E", told
        assert int.from_bytes(told[1:5], "big") == len(told) - 1
        return Message("E", told[5:]).fields

    async def is_held(self, seconds: float = 0.3) -> bool:
        """Whether it hears nothing, not even an end, for a while."""
        try:
            async with asyncio.timeout(seconds):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False


@dataclass
class Held:
    """One activator and its API server; the proxy `shop/orders` is registered and asleep."""

    api: SlicesApi
    app: App
    settings: Settings
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self._addresses = addresses()
        self._visitors: list[Visitor] = []
        self.api.scales[PROXY] = Scale()

    def register(self, name: str = NAME, **fields: Any) -> None:
        self.api.put(registration(name, **{"port": self.port, "uid": UID, **fields}))

    def tell(self, **addresses_: list[str]) -> None:
        """What the Service's slice says: addresses that are ready, unready, terminating."""
        told: Manifest = pods(NAME)
        told["endpoints"] = [
            endpoint(address, condition)
            for condition, found in addresses_.items()
            for address in found
        ]
        self.api.put(told)

    @property
    def scale(self) -> Scale:
        return self.api.scales[PROXY]

    def scale_to_zero(self) -> None:
        self.api.scales[PROXY] = Scale(self.scale.version + 1, 0)

    def raise_elsewhere(self) -> None:
        """Somebody else is faster."""
        self.api.scales[PROXY] = Scale(self.scale.version + 1, 7)

    def next_address(self) -> str:
        return next(self._addresses)

    def stand_in(self, manner: Any, uid: str = UID) -> StandIn:
        return StandIn(self.next_address(), self.settings.pod_port, uid, manner)

    async def until(self, condition: Any, what: str) -> None:
        """Polls; fails the test, naming `what`."""
        for _ in range(int(PATIENCE / 0.01)):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"not within {PATIENCE:.0f} s: {what}")

    async def until_listening(self, *ports: int) -> None:
        """Until the activator has the proxies' ports, or this one's."""
        for port in ports or (self.port,):
            await self.until(lambda port=port: port in self.app.ports, f"port {port} is open")

    async def visitor(self, said: bytes = b"", port: int = 0, host: str = "127.0.0.1") -> Visitor:
        place = (host, port or self.port)
        visitor = Visitor(*await asyncio.open_connection(*place))
        visitor.writer.write(said)
        self._visitors.append(visitor)
        return visitor

    def send_everybody_home(self) -> None:
        for visitor in self._visitors:
            visitor.writer.transport.abort()

    async def held(self, count: int, name: str = NAME) -> None:
        await self.until(lambda: self.wakes(name)["held"] == count, f"{count} are held")

    def wakes(self, name: str = NAME) -> dict[str, Any]:
        told = self.app.wake((PROXY[0], name))
        assert told is not None
        return told

    def refused(self, reason: str) -> float:
        """How many were sent away for this reason."""
        name, labels = "sluice_activator_refused_total", {"reason": reason}
        return self.app.metrics.registry.get_sample_value(name, labels) or 0.0


@contextlib.asynccontextmanager
async def held(api: SlicesApi, **settings: Any) -> AsyncIterator[Held]:
    """A running activator; whoever is with it at the end is cut off."""
    account = Account("127.0.0.1", api.port, api.folder)
    ports = {name: free_port() for name in ("admin_port", "hello_port", "pod_port")}
    chosen = Settings(account, **{"host": "127.0.0.1", **ports, **settings})
    app = App(chosen)
    running = asyncio.create_task(app.run())
    one = Held(api, app, chosen)
    try:
        one.register()
        await one.until(lambda: not app.unready, "the activator is ready")
        await one.until_listening()
        yield one
    finally:
        app.stop_now()
        await running
        one.send_everybody_home()
