"""A proxy that sleeps behind an activator: both are the real programs, the API server is not.

What Kubernetes does is done here: a scale that is raised starts pods, and slices tell of them.
Each pod has a loopback address of its own, for activators dial one port everywhere.
"""

import itertools
import json
import random
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sluice_proxy.config import ProxyConfig
from sluice_testing.door import Door
from sluice_testing.postgres import free_port
from sluice_testing.proxy import ProxyProcess, Serving
from sluice_testing.slices_api import Scale, SlicesApi, endpoint, pods, registration
from sluice_testing.stand_in import StandIn, Visit

NAMESPACE, NAME, UID = "shop", "orders", "5b1e0b3c-1f7e-4b57-a9a2-0d1f7c1d9a10"
PROXY = (NAMESPACE, NAME)
FULL_NAME = f"{NAMESPACE}/{NAME}"


def addresses() -> Iterator[str]:
    """Loopback addresses that no other test run has, most likely."""
    second, third = random.randint(1, 254), random.randint(1, 254)
    return (f"127.{second}.{third}.{last}" for last in itertools.count(1))


class ActivatorProcess(Serving):
    """`python -m sluice_activator`, on the loopback alone."""

    def __init__(
        self, api: SlicesApi, folder: Path, pod_port: int, host: str = "127.0.0.1",
        **environment: str,
    ):  # fmt: skip
        admin, self.hello_port, self.pod_port = free_port(), free_port(), pod_port
        ports = {"--admin-port": admin, "--hello-port": self.hello_port, "--pod-port": pod_port}
        options = {"--host": host, "--service-account": api.folder, "--linger": 0.5, **ports}
        words = [str(word) for option in options.items() for word in option]
        arguments = ("-m", "sluice_activator", *words)
        told = {**api.environment, **environment}
        super().__init__(arguments, folder / "activator.log", (host, admin), told)

    def wait_until_ready(self) -> None:
        self.wait_until(lambda: self._answers("/readyz"), "/readyz says 200")

    def wakes(self, namespace: str = NAMESPACE, name: str = NAME) -> dict[str, Any]:
        """What /wakes tells of a proxy."""
        answer = self.get(f"/wakes/{namespace}/{name}")
        assert answer.status == 200, answer
        return dict(json.loads(answer.text))

    def wait_for(self, **figures: int) -> None:
        """Until so many are held, or spliced, of the proxy."""

        def shown() -> bool:
            wakes = self.wakes()
            return all(wakes[name] == figure for name, figure in figures.items())

        self.wait_until(shown, f"{figures} in /wakes")

    def say_hello(self, address: str, text: bytes = b"sluice shop/orders") -> None:
        """As the pod at `address` would."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
            sock.sendto(text, (self.host, self.hello_port))


@dataclass
class Sleeping:
    """The proxy `shop/orders`, asleep. `wakes_up` is whether a raised scale starts pods."""

    api: SlicesApi
    config: ProxyConfig
    folder: Path
    ca_file: str
    wakes_up: bool = True
    port: int = field(default_factory=free_port)
    pod_port: int = field(default_factory=free_port)
    pods: dict[str, ProxyProcess] = field(default_factory=dict)
    activators: list[ActivatorProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._addresses = addresses()
        self._lock = threading.Lock()
        self.api.scales[PROXY] = Scale()
        self.api.on_patch = self._on_patch
        self.register()

    def _on_patch(self, proxy: tuple[str, str], replicas: int) -> None:
        if self.wakes_up:
            self.start_pods(replicas)

    def register(self, **fields: Any) -> None:
        """Writes the operator's slice, anew."""
        self.api.put(registration(NAME, self.port, **{"uid": UID, **fields}))

    def next_address(self) -> str:
        return next(self._addresses)

    def start_activator(self, host: str = "127.0.0.1", **environment: str) -> ActivatorProcess:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        activator = ActivatorProcess(self.api, folder, self.pod_port, host, **environment)
        self.activators.append(activator)
        activator.wait_until_ready()
        return activator

    @property
    def activator(self) -> ActivatorProcess:
        return self.activators[0]

    @property
    def door(self) -> Door:
        """The Service, as long as there is no pod."""
        return self.door_of(self.activator)

    @property
    def place(self) -> tuple[str, int]:
        """Where the activator takes its clients."""
        return self.activator.host, self.port

    def door_of(self, activator: ActivatorProcess) -> Door:
        return Door(activator.host, self.port, self.ca_file)

    def stand_in(self, manner: Callable[[Visit], None]) -> StandIn:
        """Somebody at an address that a pod may have."""
        return StandIn(self.next_address(), self.pod_port, UID, manner)

    def start_pods(self, count: int = 1) -> None:
        """As the kubelet and the EndpointSlice controller do it."""
        with self._lock:
            fresh = [self.next_address() for _ in range(count)]
            for address in fresh:
                folder = Path(tempfile.mkdtemp(dir=self.folder))
                self.pods[address] = ProxyProcess(
                    self.config, folder, host=address, activators=self.pod_port
                )
            self.tell(unready=fresh)
            for address in fresh:
                self.pods[address].wait_until_alive()
            self.tell(ready=fresh)

    def tell(self, **conditions: Sequence[str]) -> None:
        """What the Service's slice says: addresses that are ready, unready, terminating."""
        slice_ = pods(NAME)
        slice_["endpoints"] = [
            endpoint(address, condition)
            for condition, found in conditions.items()
            for address in found
        ]
        self.api.put(slice_)

    def stop_pods(self) -> None:
        """Scaled to zero: they end, and are gone from the slice when they have."""
        with self._lock:
            scale = self.api.scales[PROXY]
            self.api.scales[PROXY] = Scale(scale.version + 1, 0)
            self.tell(terminating=list(self.pods))
            for pod in self.pods.values():
                pod.finish()
            self.pods.clear()
            self.tell()

    def kill_pods(self) -> None:
        """As a node that fails: their clients are lost."""
        with self._lock:
            for pod in self.pods.values():
                pod.kill()
            self.pods.clear()
            self.api.scales[PROXY] = Scale(self.api.scales[PROXY].version + 1, 0)
            self.tell()

    def finish(self) -> None:
        """Ends everything, and judges it."""
        for activator in self.activators:
            activator.finish()
        self.wakes_up = False
        with self._lock:
            for pod in self.pods.values():
                pod.finish()
