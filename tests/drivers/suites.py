"""`make driver-suites`: the drivers' own test-suites, direct and then through the proxy.

What counts is what fails through the proxy and not direct. Sources come from the
registries, in the versions that the lock files name, and stay in ~/.cache/sluice/suites.
SUITES names those that are wanted, separated by commas. Writes build/driver-suites.json.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sluice_proxy.config import Certificate, PoolSettings, ProxyConfig, Target, TargetTLS, User
from sluice_testing import postgres
from sluice_testing.certificates import Authority
from sluice_testing.postgres import SUPERUSER, Postgres
from sluice_testing.proxy import ProxyProcess

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
INSTALL = ROOT / "tests" / "postgres" / "install.py"
CACHE = Path.home() / ".cache" / "sluice" / "suites"
BUILD = ROOT / "build" / "driver-suites"
MAJOR, CONNECTIONS = 18, 20
PASSWORD = "pw"
# Names that the suites themselves expect: role and database.
LOGINS = {SUPERUSER: "postgres", "pqgo": "pqgo", "pgx": "pgx_test", "django": "django"}
# What the suites import and the tests' environment has not.
EXTRAS = ("pytz==2025.2", "distro==1.9.0", "pytest-mock==3.15.1")
EXTENSIONS = ("hstore", "ltree", "citext")
HOURGLASS = 1500.0  # seconds that a suite may take

# What did not pass, by the name of the test, and what it said.
Failures = dict[str, str]


@dataclass(frozen=True)
class Outcome:
    passed: int
    failures: Failures


@dataclass(frozen=True)
class Run:
    """One way to one server; `log` takes what the suite prints, `scratch` is its own."""

    port: int
    log: Path
    scratch: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": SUPERUSER,
            "PGPASSWORD": PASSWORD, "PGDATABASE": "postgres", "PGSSLMODE": "disable",
        }  # fmt: skip

    def call(self, *command: str | Path, folder: Path, **environment: str) -> None:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=folder,
                env={**self.environment, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                process.wait(HOURGLASS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                log.write(b"\nended: it took too long\n")

    def pytest(self, *arguments: str | Path, folder: Path, **environment: str) -> Outcome:
        report = self.scratch / "report.xml"
        report.unlink(missing_ok=True)
        self.call(
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=60",
            f"--junitxml={report}", "-W", "default", "--continue-on-collection-errors",
            *arguments, folder=folder, PYTHONPATH=str(extras()), **environment,
        )  # fmt: skip
        return junit(report)

    def go(self, *packages: str, folder: Path, **environment: str) -> Outcome:
        before = self.log.stat().st_size if self.log.exists() else 0
        self.call("go", "test", "-json", "-count=1", "-p=1", "-timeout=20m", *packages,
                  folder=folder, GOFLAGS="-mod=mod", **environment)  # fmt: skip
        return go_events(self.log.read_bytes()[before:].decode(errors="replace"))


def junit(report: Path) -> Outcome:
    if not report.exists():
        return Outcome(0, {"the suite": "ended without a report"})
    passed, failures = 0, {}
    for case in ElementTree.parse(report).iter("testcase"):
        bad = [it for it in case if it.tag in ("failure", "error")]
        if bad:
            name = f"{case.get('classname')}::{case.get('name')}"
            failures[name] = f"{bad[0].get('message') or ''}"[:600]
        elif case.find("skipped") is None:
            passed += 1
    return Outcome(passed, failures)


def go_events(text: str) -> Outcome:
    passed = 0
    failures: Failures = {}
    said: Failures = {}
    for line in text.splitlines():
        if not line.startswith("{"):
            continue
        event: dict[str, Any] = json.loads(line)
        name = f"{event.get('Package')} {event.get('Test', '(package)')}"
        if event["Action"] == "output":
            said[name] = said.get(name, "") + str(event["Output"])
        elif event["Action"] == "pass":
            passed += 1
        elif event["Action"] == "fail":
            failures[name] = " ".join(said.get(name, "").split())[:600]
    return Outcome(passed, failures)


def extras() -> Path:
    folder = CACHE / "-".join(EXTRAS)
    if not folder.exists():
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--target",
                folder,
                *EXTRAS,
            ],
            check=True,
        )
    return folder


def sdist(name: str) -> Path:
    """The source of the installed version, with its tests."""
    folder = CACHE / f"{name}-{version(name)}"
    if not folder.exists():
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                 "--no-binary", ":all:", "--dest", scratch, f"{name}=={version(name)}"],
                check=True,
            )  # fmt: skip
            [archive] = Path(scratch).iterdir()
            with tarfile.open(archive) as archived:
                archived.extractall(CACHE, filter="data")
    return folder


def module(path: str, name: str) -> Path:
    """A copy of a Go module that tests/drivers/go asks for: the cache's own is read-only."""
    asked = ["go", "list", "-m", "-f", "{{.Dir}} {{.Version}}", path]
    listed = subprocess.run(
        asked, cwd=HERE / "go", check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    source, number = listed.split()
    folder = CACHE / f"{name}-{number}"
    if not folder.exists():
        shutil.copytree(source, folder)
        for path_in in (folder, *folder.rglob("*")):
            path_in.chmod(path_in.stat().st_mode | 0o200)
    return folder


def asyncpg(run: Run) -> Outcome:
    # Beside its sources Python would import them, and they are not compiled.
    shutil.copytree(sdist("asyncpg") / "tests", run.scratch / "tests")
    ignored = ("test__environment", "test__sourcecode", "test_subinterpreters")
    return run.pytest(
        "tests", *(f"--ignore=tests/{name}.py" for name in ignored), folder=run.scratch
    )


def pg8000(run: Run) -> Outcome:
    ignored = ("test/native/auth", "test/legacy/auth", "test/dbapi/auth", "test/test_readme.py")
    folder = sdist("pg8000")
    return run.pytest("test", *(f"--ignore={path}" for path in ignored), folder=folder)


def sqlalchemy(dialect: str) -> Callable[[Run], Outcome]:
    def suite(run: Run) -> Outcome:
        uri = f"postgresql+{dialect}://{SUPERUSER}:{PASSWORD}@127.0.0.1:{run.port}/alchemy"
        parts = ("test/dialect/postgresql", "test/dialect/test_suite.py",
                 "test/engine/test_transaction.py", "test/engine/test_reconnect.py",
                 "test/engine/test_execute.py", "test/sql/test_resultset.py",
                 "test/orm/test_transaction.py")  # fmt: skip
        return run.pytest("--dburi", uri, *parts, folder=sdist("sqlalchemy"))

    return suite


DJANGO_LABELS = (
    "backends", "postgres_tests", "transactions", "transaction_hooks", "queries", "bulk_create",
    "select_for_update", "introspection", "get_or_create", "delete", "aggregation",
)  # fmt: skip
DJANGO_SETTINGS = """
import os
_one = {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1",
        "PORT": os.environ["PGPORT"], "USER": os.environ["PGUSER"],
        "PASSWORD": os.environ["PGPASSWORD"], "NAME": "django"}
DATABASES = {"default": _one, "other": {**_one, "NAME": "django_other"}}
SECRET_KEY = "x"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
"""


def django(run: Run) -> Outcome:
    (run.scratch / "suite_settings.py").write_text(DJANGO_SETTINGS)
    folder = sdist("django") / "tests"
    before = run.log.stat().st_size if run.log.exists() else 0
    run.call(sys.executable, "-W", "ignore", "runtests.py", "--settings=suite_settings",
             "--parallel=1", "--noinput", *DJANGO_LABELS,
             folder=folder, PYTHONPATH=f"{run.scratch}:{folder.parent}")  # fmt: skip
    return unittest_report(run.log.read_bytes()[before:].decode(errors="replace"))


def unittest_report(text: str) -> Outcome:
    failures: Failures = {}
    for block in text.split("=" * 70)[1:]:
        found = re.match(r"\n(?:ERROR|FAIL): (.*)\n", block)
        if found:
            lines = block.split("-" * 70)[1].strip().split("\n")
            failures[found[1]] = lines[-1][:600]
    ran = re.search(r"^Ran (\d+) tests?", text, re.MULTILINE)
    if ran is None:
        return Outcome(0, {**failures, "the suite": "ended without a report"})
    return Outcome(int(ran[1]) - len(failures), failures)


def pgx(run: Run) -> Outcome:
    dsn = f"host=127.0.0.1 port={run.port} user=pgx password={PASSWORD} dbname=pgx_test"
    return run.go("./...", folder=module("github.com/jackc/pgx/v5", "pgx"),
                  PGX_TEST_DATABASE=f"{dsn} sslmode=disable",
                  PGX_TEST_TCP_CONN_STRING=f"{dsn} sslmode=disable")  # fmt: skip


def pq(run: Run) -> Outcome:
    return run.go("./...", folder=module("github.com/lib/pq", "pq"),
                  PGUSER="pqgo", PGDATABASE="pqgo")  # fmt: skip


SUITES: dict[str, Callable[[Run], Outcome]] = {
    "asyncpg": asyncpg,
    "pg8000": pg8000,
    "sqlalchemy+psycopg": sqlalchemy("psycopg"),
    "sqlalchemy+asyncpg": sqlalchemy("asyncpg"),
    "django": django,
    "pgx": pgx,
    "lib/pq": pq,
}


@contextmanager
def world() -> Iterator[tuple[Postgres, ProxyProcess]]:
    with tempfile.TemporaryDirectory(prefix="sluice-suites-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server may run as another user than this program
        installed = subprocess.run(
            [sys.executable, INSTALL], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()
        builds = postgres.reachable_builds(Path(installed), folder)
        authority = Authority()
        server = postgres.with_app(
            builds / str(MAJOR), folder / "server", authority,
            max_prepared_transactions=10, wal_level="logical", max_wal_senders=2,
        )  # fmt: skip
        try:
            prepare(server)
            proxy = ProxyProcess(config(server, authority), folder / "proxy")
            try:
                proxy.wait_until_ready()
                yield server, proxy
            finally:
                (BUILD / "proxy.log").write_text(proxy.log)
                proxy.finish()
        finally:
            server.destroy()


def prepare(server: Postgres) -> None:
    """Roles that may do everything, and the databases that the suites expect."""
    for role in LOGINS:
        verb = "ALTER" if role == SUPERUSER else "CREATE"
        server.execute(f"{verb} ROLE {role} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
        server.superuser_password = PASSWORD
    databases = [*(set(LOGINS.values()) - {"postgres"}), "alchemy", "django_other"]
    for database in databases:
        server.execute(f"CREATE DATABASE {database}")
    for database in (*databases, "postgres"):
        server.execute(*(f"CREATE EXTENSION {it}" for it in EXTENSIONS), database=database)
    server.execute("CREATE SCHEMA test_schema", "CREATE SCHEMA test_schema_2", database="alchemy")
    server.execute("ALTER DATABASE alchemy SET default_text_search_config = 'pg_catalog.english'")
    server.execute("CREATE DOMAIN uint64 AS numeric(20, 0)", database="pgx_test")


def config(server: Postgres, authority: Authority) -> ProxyConfig:
    """The servers of the tests have max_connections = 100, so a percent is a count."""
    leaf = authority.issue("localhost", "127.0.0.1")
    return ProxyConfig(
        name="suites",
        targets=(Target(server.host, server.port),),
        users=tuple(User(role, PASSWORD, database=name) for role, name in LOGINS.items()),
        target_tls=TargetTLS("VerifyFull", authority.pem),
        certificate=Certificate(leaf.chain, leaf.private_key),
        require_tls=False,
        pool=PoolSettings(CONNECTIONS, 30),
        drain_seconds=5,
    )


def both(name: str, ports: dict[str, int]) -> dict[str, Any]:
    outcomes: dict[str, Outcome] = {}
    for way, port in ports.items():
        log = BUILD / f"{name.replace('/', '-')}.{way}.log"
        log.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            outcomes[way] = SUITES[name](Run(port, log, Path(scratch)))
        outcome = outcomes[way]
        if not outcome.passed:
            raise RuntimeError(f"{name}, {way}: nothing passed, see {log}")
        print(f"   {name}, {way}: {outcome.passed} ok, {len(outcome.failures)} not", flush=True)
    direct, proxied = outcomes["direct"], outcomes["proxied"]
    new = {test: said for test, said in proxied.failures.items() if test not in direct.failures}
    for test, said in new.items():
        print(f"      {test}: {said[:200]}", flush=True)
    return {
        "passed": proxied.passed,
        "passed_direct": direct.passed,
        "failed_direct": sorted(direct.failures),
        "different": new,
    }


def main() -> int:
    BUILD.mkdir(parents=True, exist_ok=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = os.environ.get("SUITES", "")
    names = wanted.split(",") if wanted else list(SUITES)
    report = {}
    with world() as (server, proxy):
        for name in names:
            report[name] = both(name, {"direct": server.port, "proxied": proxy.port})
            (BUILD.with_suffix(".json")).write_text(json.dumps(report, indent=1) + "\n")
    return 1 if any(it["different"] for it in report.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
