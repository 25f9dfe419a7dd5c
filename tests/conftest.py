"""Real PostgreSQL servers and real proxy processes, for every test that asks for them.

`SLUICE_TEST_DIRECT=1` leads the door past the proxy to PostgreSQL itself: a story that
fails there is wrong itself. Tests that ask for the proxy as such are skipped then.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sluice_proxy.config import Certificate, PoolSettings, ProxyConfig, Target, TargetTLS, User
from sluice_testing import activating, postgres
from sluice_testing.certificates import Authority, Trust
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import APP_DATABASE, APP_PASSWORD, APP_USER, Postgres
from sluice_testing.proxy import PROXY, ProxyProcess
from sluice_testing.slices_api import SlicesApi

NEWEST = 18
DIRECT = os.environ.get("SLUICE_TEST_DIRECT") == "1"
INSTALL = Path(__file__).parent / "postgres" / "install.py"


@dataclass
class Servers:
    """One PostgreSQL per major, started when first asked for."""

    builds: Path
    folder: Path
    trust: Trust
    started: list[Postgres] = field(default_factory=list)

    def shared(self, major: int) -> Postgres:
        """The server that all tests of this run use: leave it as it was."""
        for server in self.started:
            if server.major == major:
                return server
        server = self.make(f"shared-{major}", major)
        self.started.append(server)
        return server

    def make(self, name: str, major: int = NEWEST, **settings: Any) -> Postgres:
        """A server of one's own, to be destroyed by whoever asked."""
        build, folder = self.builds / str(major), self.folder / name
        return postgres.with_app(build, folder, self.trust.authority, **settings)


@pytest.fixture(scope="session")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    authority = Authority()
    file = tmp_path_factory.mktemp("trust") / "ca.pem"
    file.write_text(authority.pem)
    return Trust(authority, str(file))


@pytest.fixture(scope="session")
def servers(trust: Trust) -> Iterator[Servers]:
    command = [sys.executable, str(INSTALL)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    folder = Path(tempfile.mkdtemp(prefix="sluice-postgres-"))
    folder.chmod(0o755)  # the servers may run as another user than the tests
    builds = postgres.reachable_builds(Path(done.stdout.strip()), folder)
    fleet = Servers(builds, folder, trust)
    yield fleet
    for server in fleet.started:
        server.destroy()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(servers: Servers, request: pytest.FixtureRequest) -> Postgres:
    """The shared server of the newest major, or of the one that `every_major` asks for."""
    return servers.shared(getattr(request, "param", NEWEST))


@pytest.fixture(scope="module")
def own_server(servers: Servers, request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """A server of the module's own, which its tests may stop, crash and configure."""
    server = servers.make(f"own-{request.node.name.replace('/', '-')}")
    yield server
    server.destroy()


@pytest.fixture
def make_config(trust: Trust) -> MakeConfig:
    """`make_config(server, budget=5, borrow=…, **fields of ProxyConfig)`.

    The servers of the tests have max_connections = 100, so a percent is a count.
    """

    def make(server: Postgres, budget: int = 5, borrow: int = 20, **fields: Any) -> ProxyConfig:
        leaf = trust.authority.issue("localhost", "127.0.0.1")
        config = ProxyConfig(
            name="test",
            targets=(Target(server.host, server.port),),
            users=(User(APP_USER, APP_PASSWORD, database=APP_DATABASE),),
            target_tls=TargetTLS("VerifyFull", trust.authority.pem),
            certificate=Certificate(leaf.chain, leaf.private_key),
            require_tls=False,
            pool=PoolSettings(budget, borrow),
            drain_seconds=10,
        )
        return replace(config, **fields)

    return make


@pytest.fixture
def start_proxy(tmp_path: Path) -> Iterator[StartProxy]:
    """`start_proxy(config)`: a process that is ready, and is judged when the test ends."""
    if DIRECT:
        pytest.skip("a story of the proxy, not of PostgreSQL")
    with contextlib.ExitStack() as stack:

        def start(
            config: ProxyConfig, *, ready: bool = True, program: Any = PROXY, **where: Any
        ) -> ProxyProcess:
            folder = Path(tempfile.mkdtemp(dir=tmp_path))
            proxy = ProxyProcess(config, folder, program, **where)
            stack.callback(proxy.finish)
            if ready:
                proxy.wait_until_ready()
            else:
                proxy.wait_until_alive()
            return proxy

        yield start


@pytest.fixture
def proxy(server: Postgres, make_config: MakeConfig, start_proxy: StartProxy) -> ProxyProcess:
    """A proxy with 5 connections to `server`, which takes clients with and without TLS."""
    return start_proxy(make_config(server))


@pytest.fixture
def door_of(trust: Trust) -> DoorOf:
    """The door of a server or of a proxy."""
    return lambda behind: Door(behind.host, behind.port, trust.file)


@pytest.fixture
def door(server: Postgres, door_of: DoorOf, request: pytest.FixtureRequest) -> Door:
    """The door of the proxy in front of `server`."""
    return door_of(server if DIRECT else request.getfixturevalue("proxy"))


@pytest.fixture
def sleeping(
    server: Postgres, make_config: MakeConfig, trust: Trust, tmp_path: Path
) -> Iterator[activating.Sleeping]:
    """A proxy in front of `server` that sleeps behind an activator."""
    if DIRECT:
        pytest.skip("a story of the activator, not of PostgreSQL")
    config = make_config(server, name=activating.FULL_NAME, uid=activating.UID)
    with SlicesApi(tmp_path / "account", trust.authority).running() as api:
        town = activating.Sleeping(api, config, tmp_path, trust.file)
        town.start_activator()
        yield town
        town.finish()
