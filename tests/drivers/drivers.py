"""`make drivers`: real drivers by their defaults, direct and through the proxy.

Each row is a driver, each column something that drivers do. PostgreSQL itself answers
first: what fails there is the program's own fault or the driver's. Then the proxy, with 5
server connections and with neighbours that keep them moving. Prints the matrix, writes
build/drivers.json; DRIVERS names the rows that are wanted, separated by commas.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolchains import BUILD, programs

from sluice_proxy.config import Certificate, PoolSettings, ProxyConfig, Target, TargetTLS, User
from sluice_testing import postgres
from sluice_testing.certificates import Authority
from sluice_testing.door import Door
from sluice_testing.drivers import COLUMNS, Cell, Program, Row, row
from sluice_testing.neighbours import Neighbours
from sluice_testing.postgres import APP_DATABASE, APP_PASSWORD, APP_USER, Postgres
from sluice_testing.proxy import ProxyProcess

ROOT = Path(__file__).resolve().parents[2]
INSTALL = ROOT / "tests" / "postgres" / "install.py"
MAJOR, CONNECTIONS = 18, 5
LOGS = BUILD / "logs"


@dataclass(frozen=True)
class World:
    """The door of a server, that of the proxy before it, and who signed neither's certificate."""

    direct: Door
    proxied: Door
    other_ca: Path


@contextmanager
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="sluice-drivers-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server may run as another user than this program
        installed = subprocess.run(
            [sys.executable, INSTALL], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()
        builds = postgres.reachable_builds(Path(installed), folder)
        authority = Authority()
        ca, other_ca = folder / "ca.pem", folder / "other.pem"
        ca.write_text(authority.pem)
        other_ca.write_text(Authority("another CA").pem)
        server = postgres.with_app(builds / str(MAJOR), folder / "server", authority)
        try:
            proxy = ProxyProcess(config(server, authority), folder / "proxy")
            try:
                proxy.wait_until_ready()
                direct, proxied = (Door(it.host, it.port, str(ca)) for it in (server, proxy))
                yield World(direct, proxied, other_ca)
            finally:
                (LOGS / "proxy.log").write_text(proxy.log)
                proxy.finish()
        finally:
            server.destroy()


def config(server: Postgres, authority: Authority) -> ProxyConfig:
    """The servers of the tests have max_connections = 100, so a percent is a count."""
    leaf = authority.issue("localhost", "127.0.0.1")
    return ProxyConfig(
        name="drivers",
        targets=(Target(server.host, server.port),),
        users=(User(APP_USER, APP_PASSWORD, database=APP_DATABASE),),
        target_tls=TargetTLS("VerifyFull", authority.pem),
        certificate=Certificate(leaf.chain, leaf.private_key),
        require_tls=True,
        pool=PoolSettings(CONNECTIONS, 20),
    )


@dataclass
class Matrix:
    """Both rows of each driver; or one word for why there are none."""

    direct: dict[str, Row] = field(default_factory=dict)
    proxied: dict[str, Row] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def fill(self, world: World, wanted: list[Program]) -> None:
        self.direct = self._rows(world, world.direct, "direct", wanted)
        with Neighbours(world.proxied) as neighbours:
            self.proxied = self._rows(world, world.proxied, "proxied", wanted)
        self.neighbours = neighbours

    def _rows(self, world: World, door: Door, way: str, wanted: list[Program]) -> dict[str, Row]:
        rows = {}
        for program in wanted:
            log = LOGS / f"{program.name.replace('/', '-')}.{way}.log"
            rows[program.name] = row(program, door, world.other_ca, log)
            failed = [name for name, cell in rows[program.name].items() if cell.failed]
            print(f"   {program.name}, {way}: {failed or 'ok'}", flush=True)
        return rows

    def faults(self) -> list[str]:
        """What PostgreSQL does and the proxy does not, and what was not found out."""
        faults = [
            f"{name}, {column}: {cell.result}"
            for name, cells in self.proxied.items()
            for column, cell in cells.items()
            if cell.failed
        ]
        faults += [
            f"{name}, {column}: fails without the proxy: {cell.result}"
            for name, cells in self.direct.items()
            for column, cell in cells.items()
            if cell.failed
        ]
        faults += [f"a neighbour read {text}" for text in self.neighbours.wrong[:5]]
        return faults + [f"a neighbour: {text}" for text in self.neighbours.errors[:5]]

    def document(self) -> dict[str, Any]:
        cells = [cell for cells in self.proxied.values() for cell in cells.values()]
        return {
            "drivers": len(self.proxied),
            "checks": sum(cell.result != "n/a" for cell in cells),
            "failed": sum(cell.failed for cell in cells),
            "missing": self.absent,
            "neighbours": {
                "transactions": self.neighbours.transactions,
                "wrong": len(self.neighbours.wrong),
                "errors": len(self.neighbours.errors),
            },
            "proxied": documents(self.proxied),
            "direct": documents(self.direct),
        }

    def text(self) -> str:
        names = [*self.proxied, *self.absent]
        first = max(len(name) for name in names)
        lines = [f"{'':{first}}  " + "  ".join(COLUMNS)]
        for name, cells in self.proxied.items():
            words = (f"{word(cells[column]):{len(column)}}" for column in COLUMNS)
            lines.append(f"{name:{first}}  " + "  ".join(words))
        lines += [f"{name:{first}}  {why}" for name, why in self.absent.items()]
        served = [cells["prepares"] for cells in self.proxied.values()]
        if any(cell.most_servers for cell in served):
            fewest = min(cell.fewest_servers for cell in served if cell.most_servers)
            most = max(cell.most_servers for cell in served)
            lines.append(f"Each client that prepares is served by {fewest} to {most} servers.")
        return "\n".join(lines)


def documents(rows: dict[str, Row]) -> dict[str, Any]:
    return {
        name: {column: cell.document() for column, cell in cells.items()}
        for name, cells in rows.items()
    }


def word(cell: Cell) -> str:
    return "FAILED" if cell.failed else cell.result


def main() -> int:
    LOGS.mkdir(parents=True, exist_ok=True)
    wanted, absent = programs(os.environ.get("DRIVERS", ""))
    matrix = Matrix(absent=absent)
    with world() as made:
        matrix.fill(made, wanted)
    (ROOT / "build" / "drivers.json").write_text(json.dumps(matrix.document(), indent=1) + "\n")
    print(matrix.text())
    faults = matrix.faults()
    for fault in faults:
        print(fault)
    excused = os.environ.get("DRIVERS_ALLOW_MISSING") == "1"
    return 1 if faults or (absent and not excused) else 0


if __name__ == "__main__":
    sys.exit(main())
