"""Both families of addresses, and a process that has no descriptors left."""

import contextlib
import resource
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sluice_testing.activating import Sleeping
from sluice_testing.held import Held, held
from sluice_testing.raw import startup
from sluice_testing.slices_api import SlicesApi
from sluice_testing.stand_in import answers

STARTUP = startup(user="app", database="app")


def speaks_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        return True
    return False


ipv6 = pytest.mark.skipif(not speaks_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
async def everywhere(tmp_path: Path) -> AsyncIterator[Held]:
    """It listens on every address, as in its pod."""
    with SlicesApi(tmp_path / "account").running() as api:
        async with held(api, host="") as one:
            yield one


@ipv6
@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("pod", ["", "::1"])
async def test_clients_and_pods_of_either_family(everywhere: Held, client: str, pod: str) -> None:
    stand_in = everywhere.stand_in(answers)
    stand_in.address = pod or stand_in.address
    with stand_in.listening():
        everywhere.tell(ready=[stand_in.address])
        visitor = await everywhere.visitor(STARTUP, host=client)
        assert await visitor.read() == b"R"
        own = visitor.writer.get_extra_info("sockname")[:2]
        assert stand_in.visits[-1].client == own


@ipv6
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_hello_by_either_family(everywhere: Held, family: socket.AddressFamily) -> None:
    stand_in = everywhere.stand_in(answers)
    stand_in.address = "::1" if family is socket.AF_INET6 else stand_in.address
    visitor = await everywhere.visitor(STARTUP)
    await everywhere.held(1)
    with stand_in.listening(), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((stand_in.address, 0))
        to = "::1" if family is socket.AF_INET6 else "127.0.0.1"
        sock.sendto(b"sluice shop/orders", (to, everywhere.settings.hello_port))
        assert await visitor.read() == b"R"


def test_without_descriptors_it_waits_for_some(sleeping: Sleeping) -> None:
    """Nobody is lost: the kernel keeps who cannot be accepted yet."""
    activator = sleeping.activator
    most = int(activator.metrics()["process_open_fds"]) + 6
    _, hard = resource.prlimit(activator.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(activator.pid, resource.RLIMIT_NOFILE, (most, hard))
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as others:
        for _ in range(12):
            others.enter_context(socket.create_connection(sleeping.place))
        activator.wait_until(lambda: "cannot accept clients for now" in activator.log, "it is full")
        late = stack.enter_context(sleeping.door.knock())
        late.send(STARTUP)
        assert late.silent_for(0.3)
        others.close()
        resource.prlimit(activator.pid, resource.RLIMIT_NOFILE, (hard, hard))
        assert late.read().kind == "R"
