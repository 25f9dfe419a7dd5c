"""What is measured: PostgreSQL itself, PgBouncer and Sluice, each with 20 server connections."""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from readings import Cpu, Places, cpu, pinned, resident_kib

from sluice_proxy.config import PoolSettings, TargetTLS
from sluice_testing.door import Door
from sluice_testing.postgres import APP_DATABASE, APP_USER, Account, free_port
from sluice_testing.proxy import ProxyProcess
from sluice_testing.rig import Rig

POOL_SIZE = 20
# Sluice's budget is a percentage of it; 400 direct clients must find room, too.
MAX_CONNECTIONS = 500
MAJOR = 15
DIRECT, PGBOUNCER, SLUICE = "direct", "PgBouncer", "Sluice"
# The first that follows prepared statements from connection to connection.
_PREPARES = (1, 21)
_CODE = {".py", ".pyx", ".pxd", ".c", ".h"}

# As few statistics and log lines as Sluice writes; SCRAM on both sides, as with Sluice.
_PGBOUNCER = """\
[databases]
{database} = host={host} port={port} dbname={database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users.txt
client_tls_sslmode = allow
client_tls_cert_file = {folder}/tls.crt
client_tls_key_file = {folder}/tls.key
server_tls_sslmode = disable
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 15000
log_connections = 0
log_disconnections = 0
log_stats = 0
stats_period = 3600
ignore_startup_parameters = extra_float_digits
{more}
"""


@dataclass(frozen=True)
class Contender:
    """Something that pgbench can be pointed at; `pid` is 0 for PostgreSQL itself."""

    name: str
    door: Door
    pid: int = 0
    compiled: bool | None = None

    @property
    def port(self) -> int:
        return self.door.port

    def cpu(self) -> Cpu:
        return cpu(self.pid) if self.pid else Cpu()

    def resident_kib(self) -> int:
        return resident_kib(self.pid)


@contextlib.contextmanager
def sluice(world: Rig, places: Places) -> Iterator[Contender]:
    """`python -m sluice_proxy`, as in a pod."""
    percent = 100 * POOL_SIZE // MAX_CONNECTIONS
    pool = PoolSettings(percent, max_idle_connections_percent=percent)
    with contextlib.ExitStack() as stack:
        with pinned(places.proxy):
            config = world.config(pool=pool, target_tls=TargetTLS("Disable"))
            process = stack.enter_context(world.proxy(config, judged=False))
        budget = process.state()["pool"]["budget"]
        assert budget == POOL_SIZE, f"a pool of {budget}"
        yield Contender(SLUICE, world.door(process), process.pid, compiled(process))


def compiled(process: ProxyProcess) -> bool | None:
    """What the log says of it, if anything."""
    for event in process.events():
        if "compiled" in event:
            return bool(event["compiled"])
    return None


@contextlib.contextmanager
def pgbouncer(world: Rig, places: Places, binary: str) -> Iterator[Contender]:
    folder, port = world.folder / f"pgbouncer-{free_port()}", free_port()
    settings = _settings(world, folder, port, binary)
    # PgBouncer refuses to run as root.
    account = Account.for_server()
    identity = [f"--reuid={account.uid}", f"--regid={account.gid}"] if account else []
    prefix = ["setpriv", *identity, "--clear-groups"] if account else []
    log = folder / "log"
    with log.open("wb") as out, pinned(places.proxy):
        process = subprocess.Popen(
            [*prefix, binary, "--quiet", settings], stdout=out, stderr=subprocess.STDOUT
        )
    try:
        door = Door("127.0.0.1", port, world.trust.file)
        _until_it_answers(door, process, log)
        yield Contender(PGBOUNCER, door, process.pid)
    finally:
        process.kill()  # SIGTERM is patient or not, as the version will have it
        process.wait(30)


def _settings(world: Rig, folder: Path, port: int, binary: str) -> Path:
    """The file of settings, beside what it names, all of it readable by PgBouncer's user."""
    folder.mkdir()
    leaf = world.trust.authority.issue("localhost", "127.0.0.1")
    # The secret as the server has it: with the password itself, PgBouncer would reckon the
    # secret anew at each login, thousands of rounds of hashing.
    [secret] = world.server.fetch("SELECT rolpassword FROM pg_authid WHERE rolname = %s", APP_USER)
    text = _PGBOUNCER.format(
        database=APP_DATABASE, host=world.server.host, port=world.server.port, listen=port,
        folder=folder, pool=POOL_SIZE,
        more="max_prepared_statements = 200" if prepares(binary) else "",
    )  # fmt: skip
    files = {
        "tls.crt": leaf.chain,
        "tls.key": leaf.private_key,
        "users.txt": f'"{APP_USER}" "{secret}"\n',
        "pgbouncer.ini": text,
    }
    account = Account.for_server()
    for name, content in files.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)
        if account:
            account.owns(folder / name)
    return folder / "pgbouncer.ini"


def _until_it_answers(door: Door, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            door.connect().close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PgBouncer does not start:\n{log.read_text()}") from error
            time.sleep(0.1)


def direct(world: Rig) -> Contender:
    return Contender(DIRECT, world.door(world.server))


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


def prepares(binary: str) -> bool:
    """Whether this PgBouncer can do prepared statements in transaction mode."""
    found = re.search(r"(\d+)\.(\d+)", version(binary))
    assert found is not None, version(binary)
    return (int(found[1]), int(found[2])) >= _PREPARES


def digest(folder: Path) -> str:
    """A name for the code that was measured."""
    files = sorted(file for file in folder.rglob("*") if file.suffix in _CODE)
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
