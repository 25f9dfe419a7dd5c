"""A real PostgreSQL server of one major version, started and broken as a test needs it."""

import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any

import psycopg

from sluice_testing.certificates import Authority, Leaf

SUPERUSER = "postgres"
APP_USER, APP_PASSWORD, APP_DATABASE = "app", "app-secret", "app"

# Nothing here outlives a test run, so nothing need reach the disk.
SETTINGS: Mapping[str, Any] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": 100,
    "shared_buffers": "32MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_senders": 0,
    "wal_level": "minimal",
    "autovacuum": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


_APART = 50
# In turn, so that nobody is given what another has not listened on yet; and not from `random`,
# which others seed.
_ports = itertools.cycle(SystemRandom().sample(range(10_000, 30_000, _APART), 20_000 // _APART))


def free_port() -> int:
    """A loopback port that nobody listens on now, nor gets by chance until it is used.

    Below the range that the kernel takes the ports of outgoing connections from: one of
    those may be taken between being found free and being listened on. A proxy may have it at
    activators. The next 49 ports are nobody's either.
    """
    while True:
        port = next(_ports)
        with socket.socket() as probe:
            # As servers do; a connection of an earlier server may linger on the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


@dataclass(frozen=True)
class Account:
    """The system user that a server runs as; None for the user of the tests."""

    uid: int
    gid: int

    @classmethod
    def for_server(cls) -> "Account | None":
        """PostgreSQL refuses to run as root, so root lends it an unprivileged user."""
        if os.geteuid() != 0:
            return None
        entry = pwd.getpwnam("nobody")
        return cls(entry.pw_uid, entry.pw_gid)

    def owns(self, path: Path) -> None:
        os.chown(path, self.uid, self.gid)


class Postgres:
    """One server in its own folder on its own port; every host login needs SCRAM."""

    def __init__(self, build: Path, folder: Path, **settings: Any):
        self.host = "127.0.0.1"
        self.port = free_port()
        self.major = int(build.name)
        self.superuser_password = secrets.token_hex(8)
        self.settings: dict[str, Any] = {**SETTINGS, **settings}
        self._bin = build / "bin"
        self._folder = folder
        self._data = folder / "data"
        self._account = Account.for_server()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def superuser_dsn(self) -> str:
        return self.dsn(SUPERUSER, self.superuser_password, "postgres")

    def dsn(self, user: str, password: str, database: str) -> str:
        return psycopg.conninfo.make_conninfo(
            host=self.host, port=self.port, user=user, password=password, dbname=database
        )

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def log(self) -> str:
        return (self._folder / "server.log").read_text(errors="replace")

    def create(self) -> None:
        """initdb. The superuser is `postgres`, with a random password."""
        self._folder.mkdir(parents=True, exist_ok=True)
        password_file = self._folder / "password"
        password_file.write_text(self.superuser_password)
        if self._account:
            self._account.owns(self._folder)
            self._account.owns(password_file)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]
        names = [f"--username={SUPERUSER}", f"--pwfile={password_file}", f"--pgdata={self._data}"]
        self._run([self._bin / "initdb", *options, "--no-instructions", *names])

    def use_certificate(self, leaf: Leaf) -> None:
        """The certificate that the server shows from its next start on."""
        for name, text in (("server.crt", leaf.chain), ("server.key", leaf.private_key)):
            path = self._data / name
            path.write_text(text)
            path.chmod(0o600)
            if self._account:
                self._account.owns(path)
        self.settings["ssl"] = "on"

    def use_methods(self, *lines: str) -> None:
        """What pg_hba.conf says from the next start on; first what every superuser needs."""
        entries = (f"host all {SUPERUSER} all scram-sha-256", *lines)
        (self._data / "pg_hba.conf").write_text("".join(f"{line}\n" for line in entries))

    def start(self) -> None:
        """Returns when the server answers queries."""
        lines = (f"{name} = '{value}'\n" for name, value in self.settings.items())
        (self._data / "postgresql.auto.conf").write_text("".join(lines))
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, "-p", str(self.port)],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                **self._identity(),
            )
        self._wait_until_ready(time.monotonic() + 60)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def crash(self) -> None:
        """Immediate shutdown: no goodbye in order, recovery at the next start."""
        self.stop(signal.SIGQUIT)

    def restart(self) -> None:
        self.stop()
        self.start()

    def destroy(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """As superuser, each statement on its own."""
        dsn = self.dsn(SUPERUSER, self.superuser_password, database)
        with psycopg.connect(dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def fetch(self, query: str, *parameters: Any, database: str = "postgres") -> list[Any]:
        """As superuser: the rows, or the values where a row has one column."""
        dsn = self.dsn(SUPERUSER, self.superuser_password, database)
        with psycopg.connect(dsn, autocommit=True) as connection:
            rows = connection.execute(query.encode(), parameters or None).fetchall()
        return [row[0] if len(row) == 1 else row for row in rows]

    def create_role(self, name: str, password: str) -> None:
        self.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")

    def sample_connections(self, user: str = APP_USER) -> int:
        """How many connections `user` holds on this server now."""
        [count] = self.fetch("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", user)
        return int(count)

    def terminate_connections(self, user: str = APP_USER) -> None:
        """pg_terminate_backend for each of them; returns when they are gone.

        One that is about to log in is not to be seen yet, so all are ended until there is none.
        """
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
        deadline = time.monotonic() + 15
        while self.fetch(end, user):
            assert time.monotonic() < deadline, f"connections of {user} do not end"
            time.sleep(0.02)

    def _wait_until_ready(self, deadline: float) -> None:
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError as error:
                if self._process is None or self._process.poll() is not None:
                    raise RuntimeError(f"PostgreSQL did not start:\n{self.log}") from error
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _run(self, command: list[Path | str]) -> None:
        done = subprocess.run(
            command,
            check=False,
            cwd=self._folder,
            capture_output=True,
            text=True,
            **self._identity(),
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")

    def _identity(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        return {"user": self._account.uid, "group": self._account.gid, "extra_groups": []}


def with_app(build: Path, folder: Path, authority: Authority, **settings: Any) -> Postgres:
    """A started server with TLS, the role and database of the tests."""
    server = Postgres(build, folder, **settings)
    server.create()
    server.use_certificate(authority.issue("localhost", "127.0.0.1"))
    server.start()
    server.create_role(APP_USER, APP_PASSWORD)
    server.execute(f"CREATE DATABASE {APP_DATABASE} OWNER {APP_USER}")
    return server


def reachable_builds(installed: Path, folder: Path) -> Path:
    """`installed` itself, or a copy in `folder` where the server's user may not enter it.

    Root's home is closed to others, and the servers of a test run by root are not root.
    """
    if Account.for_server() is None:
        return installed

    def link_or_copy(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)

    copy = folder / "builds"
    shutil.copytree(installed, copy, symlinks=True, copy_function=link_or_copy)
    return copy
