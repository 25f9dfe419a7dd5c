"""What is measured: PostgreSQL itself, PgBouncer and Sluice, each with 20 server connections."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from sluice_testing.postgres import APP_DATABASE, APP_PASSWORD, APP_USER, Postgres, free_port

POOL_SIZE = 20
_TICKS = os.sysconf("SC_CLK_TCK")

_MANIFEST = """\
apiVersion: v1
kind: Secret
metadata: {{name: bench}}
stringData: {{username: {user}, password: {password}, dbname: {database}}}
---
apiVersion: sluice.dev/v1alpha1
kind: DatabaseProxy
metadata: {{name: bench}}
spec:
  targets: [{{host: {host}, port: {port}}}]
  targetTLS: {{mode: Disable}}
  auth: [{{secretRef: {{name: bench}}}}]
  requireTLS: false
  connectionPool: {{maxConnectionsPercent: {percent}}}
"""

# As few statistics and log lines as Sluice writes; SCRAM on both sides, as with Sluice.
_PGBOUNCER = """\
[databases]
{database} = host={host} port={port} dbname={database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 1000
log_connections = 0
log_disconnections = 0
stats_period = 3600
ignore_startup_parameters = extra_float_digits
"""


@dataclass(slots=True)
class Contender:
    """Something that pgbench can be pointed at; `process` is None for PostgreSQL itself."""

    name: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        if self.process is None:
            return 0.0
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_kib(self) -> int:
        if self.process is None:
            return 0
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)


def sluice(server: Postgres, folder: Path) -> Contender:
    """`sluice run`, the local mode: the same code as in a pod."""
    manifest = folder / "bench.yaml"
    manifest.write_text(
        _MANIFEST.format(
            user=APP_USER, password=APP_PASSWORD, database=APP_DATABASE,
            host=server.host, port=server.port, percent=POOL_SIZE,
        )
    )  # fmt: skip
    port, admin = free_port(), free_port()
    command: list[Path | str] = [
        Path(sys.executable).parent / "sluice", "run", "-f", manifest,
        "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}",
    ]  # fmt: skip
    return _started("Sluice", port, command, folder / "sluice.log")


def pgbouncer(server: Postgres, folder: Path, binary: str) -> Contender:
    port = free_port()
    users = folder / "users.txt"
    users.write_text(f'"{APP_USER}" "{APP_PASSWORD}"\n')
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        _PGBOUNCER.format(
            database=APP_DATABASE, host=server.host, port=server.port, listen=port,
            users=users, pool=POOL_SIZE,
        )
    )  # fmt: skip
    folder.chmod(0o755)
    # PgBouncer refuses to run as root.
    account = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    command: list[Path | str] = [
        *(account if os.geteuid() == 0 else []),
        binary,
        "--quiet",
        settings,
    ]
    return _started("PgBouncer", port, command, folder / "pgbouncer.log")


def direct(server: Postgres) -> Contender:
    return Contender("direct", server.port)


def find_pgbouncer() -> str:
    """The binary: $PGBOUNCER, or Debian's package."""
    return os.environ.get("PGBOUNCER") or _find("pgbouncer", "pgbouncer")


def find_pgbench() -> str:
    return _find("pgbench", "postgresql-15")


def _find(name: str, package: str) -> str:
    """The program; Debian's package of it is installed where that is possible."""
    found = _look(name)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"== installing {package} from Debian's packages", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for words in (["update", "-qq"], ["install", "-qq", "-y", package]):
            subprocess.run(
                ["apt-get", *words], check=True, env=environment, stdout=subprocess.DEVNULL
            )
        found = _look(name)
    if found is None:
        sys.exit(f"missing: {name} (Debian: apt-get install {package})")
    return found


def _look(name: str) -> str | None:
    folders = [os.environ.get("PATH", ""), "/usr/sbin"]
    folders += [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    return shutil.which(name, path=os.pathsep.join(folders))


def version(binary: str) -> str:
    shown = subprocess.run([binary, "--version"], check=True, stdout=subprocess.PIPE, text=True)
    return shown.stdout.splitlines()[0]


def digest(folder: Path) -> str:
    """A name for the code that was measured."""
    files = sorted(folder.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _started(name: str, port: int, command: list[Path | str], log: Path) -> Contender:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    contender = Contender(name, port, process)
    deadline = time.monotonic() + 20
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"{name} does not start:\n{log.read_text()}")
        time.sleep(0.1)
    return contender


def _answers(port: int) -> bool:
    dsn = (
        f"host=127.0.0.1 port={port} user={APP_USER} password={APP_PASSWORD} "
        f"dbname={APP_DATABASE} sslmode=disable connect_timeout=5"
    )
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return False
    return True
