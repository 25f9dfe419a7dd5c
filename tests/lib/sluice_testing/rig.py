"""A real server with a proxy in front of it, for commands that no pytest runs."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sluice_proxy.config import Certificate, PoolSettings, ProxyConfig, Target, TargetTLS, User
from sluice_testing import postgres
from sluice_testing.certificates import Authority, Trust
from sluice_testing.door import Door
from sluice_testing.postgres import APP_DATABASE, APP_PASSWORD, APP_USER, Postgres
from sluice_testing.proxy import PROXY, ProxyProcess

ROOT = Path(__file__).resolve().parents[3]
INSTALL = ROOT / "tests" / "postgres" / "install.py"


@dataclass
class Rig:
    """A server in a folder of its own."""

    server: Postgres
    trust: Trust
    folder: Path

    def config(self, budget: int = 5, borrow: int = 120, **fields: Any) -> ProxyConfig:
        """As of a pod; the server has max_connections = 100, so a percent is a count."""
        leaf = self.trust.authority.issue("localhost", "127.0.0.1")
        config = ProxyConfig(
            name="rig",
            targets=(Target(self.server.host, self.server.port),),
            users=(User(APP_USER, APP_PASSWORD, database=APP_DATABASE),),
            target_tls=TargetTLS("VerifyFull", self.trust.authority.pem),
            certificate=Certificate(leaf.chain, leaf.private_key),
            require_tls=False,
            pool=PoolSettings(budget, borrow),
            drain_seconds=10,
        )
        return replace(config, **fields)

    @contextlib.contextmanager
    def proxy(
        self, config: ProxyConfig, program: Sequence[str] = PROXY, *, judged: bool = True
    ) -> Iterator[ProxyProcess]:
        """A process that is ready; `judged`: it must end well, as ProxyProcess.finish asks."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        process = ProxyProcess(config, folder, program)
        try:
            process.wait_until_ready()
            yield process
        except BaseException:
            process.kill()
            raise
        if judged:
            process.finish()
        else:
            process.kill()

    def door(self, behind: ProxyProcess | Postgres) -> Door:
        return Door(behind.host, behind.port, self.trust.file)


@contextlib.contextmanager
def rig(major: int, **settings: Any) -> Iterator[Rig]:
    """A started server of `major` with the role and the database of the tests."""
    command = [sys.executable, str(INSTALL)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    with tempfile.TemporaryDirectory(prefix="sluice-rig-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server may run as another user than the command
        builds = postgres.reachable_builds(Path(done.stdout.strip()), folder)
        authority = Authority()
        file = folder / "ca.pem"
        file.write_text(authority.pem)
        server = postgres.with_app(builds / str(major), folder / "postgres", authority, **settings)
        try:
            yield Rig(server, Trust(authority, str(file)), folder)
        finally:
            server.destroy()
