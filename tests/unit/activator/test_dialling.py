"""Anybody may say hello, in the name of any address: no client waits for it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from sluice_activator import decide
from sluice_activator.dialling import Dialler
from sluice_activator.slices import READY, UNREADY
from sluice_activator.trial import Client
from sluice_testing.activating import UID, addresses
from sluice_testing.postgres import free_port
from sluice_testing.stand_in import StandIn, answers

MANY = 100


class Dialling:
    """A dialler, what it found, and silent listeners: each would take `DIAL_TIMEOUT`."""

    def __init__(self) -> None:
        self.port = free_port()
        self.addresses = addresses()
        self.found: asyncio.Queue[tuple[Client, str]] = asyncio.Queue()
        self.dialler = Dialler(
            ("shop", "orders"), self.port, lambda at: None, self.on_pod, lambda: None
        )
        self.clients: list[Client] = []

    def on_pod(self, client: Client, address: str, pod: socket.socket) -> None:
        pod.close()
        self.found.put_nowait((client, address))

    def client(self) -> Client:
        self.clients.append(Client(socket.socket(), ("127.0.0.1", 1), 0.0))
        return self.clients[-1]

    def stand_in(self) -> StandIn:
        return StandIn(next(self.addresses), self.port, UID, answers)

    def dial(self, *clients: Client) -> None:
        self.dialler.dial(iter(clients), self.dialler.candidates(0.0), UID)

    async def pod_of(self, client: Client) -> str:
        """Dials for it until a pod has it."""
        async with asyncio.timeout(5):
            while True:
                self.dial(client)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        found, address = await self.found.get()
                        if found is client:
                            return address

    @contextlib.contextmanager
    def flood(self) -> Iterator[list[str]]:
        """Hellos from many addresses where nobody proves anything."""
        with contextlib.ExitStack() as stack:
            silent = [next(self.addresses) for _ in range(MANY)]
            for address in silent:
                stack.enter_context(socket.create_server((address, self.port)))
                self.dialler.on_hello(address)
            yield silent


@pytest.fixture
async def dialling(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Dialling]:
    monkeypatch.setattr(decide, "DIAL_TIMEOUT", 60.0)
    one = Dialling()
    yield one
    one.dialler.stop()
    for client in one.clients:
        client.sock.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.mark.parametrize("rank", [READY, UNREADY])
async def test_a_flood_of_hellos_leaves_dials_for_who_is_listed(
    dialling: Dialling, rank: int
) -> None:
    with dialling.flood(), dialling.stand_in().listening() as pod:
        dialling.dial(dialling.client())
        dialling.dialler.on_pods({pod.address: rank})
        assert await dialling.pod_of(dialling.client()) == pod.address


async def test_no_client_waits_for_who_only_says_hello(dialling: Dialling) -> None:
    with dialling.stand_in().listening() as pod:
        dialling.dialler.on_pods({pod.address: READY})
        assert await dialling.pod_of(dialling.client()) == pod.address
        with dialling.flood():
            for _ in range(4):
                assert await dialling.pod_of(dialling.client()) == pod.address


async def test_who_only_says_hello_is_tried_beside(dialling: Dialling) -> None:
    with dialling.stand_in().listening() as pod, dialling.stand_in().listening() as other:
        dialling.dialler.on_pods({pod.address: READY})
        assert await dialling.pod_of(dialling.client()) == pod.address
        dialling.dialler.on_hello(other.address)
        async with asyncio.timeout(5):
            while await dialling.pod_of(dialling.client()) != other.address:
                pass


async def test_the_latest_hellos_are_kept(dialling: Dialling) -> None:
    early, late = next(dialling.addresses), next(dialling.addresses)
    dialling.dialler.on_hello(early)
    dialling.dialler.on_hello(late)
    with dialling.flood() as silent:
        assert late not in dialling.dialler.candidates(0.0)
        known = len(dialling.dialler.candidates(0.0))
        assert dialling.dialler.candidates(0.0) == silent[-known:]
        dialling.dialler.on_hello(silent[-known])
        dialling.dialler.on_hello(early)
        assert dialling.dialler.candidates(0.0) == [
            *silent[-known + 2 :], silent[-known], early,
        ]  # fmt: skip


async def test_a_hello_does_not_outlive_the_pod(dialling: Dialling) -> None:
    """Else the next to wake the proxy is sent to where nobody answers, and waits for that."""
    with dialling.stand_in().listening() as pod:
        dialling.dialler.on_hello(pod.address)
        dialling.dialler.on_pods({pod.address: READY})
        assert await dialling.pod_of(dialling.client()) == pod.address
        assert dialling.dialler.sure([pod.address])
        dialling.dialler.on_pods({})
        assert dialling.dialler.candidates(0.0) == []
        assert dialling.dialler.sure([pod.address]) == []
        dialling.dialler.on_hello(pod.address)
        assert await dialling.pod_of(dialling.client()) == pod.address
