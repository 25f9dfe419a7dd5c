"""`sluice run`: the manifests that users write, served from files in front of PostgreSQL."""

import base64
import os
import shlex
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from sluice_testing.local import SLUICE, LocalProxy, sluice
from sluice_testing.postgres import Postgres

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "orders.yaml"
ROLE, PASSWORD, DATABASE = "orders", "change-me", "orders"

Start = Callable[..., LocalProxy]


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    assert SLUICE.exists(), f"{SLUICE}: the distribution is not installed; run make venv"


@pytest.fixture
def server(server: Postgres) -> Iterator[Postgres]:
    """With the role and the database of the example, which are gone afterwards."""
    server.create_role(ROLE, PASSWORD)
    server.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
    yield server
    server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)", f"DROP ROLE {ROLE}")


@pytest.fixture
def files(server: Postgres, tmp_path: Path) -> tuple[Path, Path]:
    """The example as two files, its target on the server of the tests: proxy, Secret."""
    proxy, secret = yaml.safe_load_all(EXAMPLE.read_text())
    proxy["spec"]["targets"] = [{"host": server.host, "port": server.port}]
    return write(tmp_path / "proxy.yaml", proxy), write(tmp_path / "secret.yaml", secret)


@pytest.fixture
def start(server: Postgres, tmp_path: Path) -> Iterator[Start]:
    """`start(files)`: a process that serves, and is judged when the test ends."""
    with ExitStack() as stack:

        def started(given: Any, *options: str) -> LocalProxy:
            local = LocalProxy(given, tmp_path, *options)
            stack.callback(local.finish)
            local.wait_until_guided()
            return local

        yield started


def write(path: Path, *documents: Any) -> Path:
    """Replaces the file at once, as careful editors do."""
    fresh = path.with_suffix(".fresh")
    fresh.write_text(yaml.safe_dump_all(documents))
    return fresh.replace(path)


def change(path: Path, **fields: str) -> None:
    """Changes entries of the Secret's stringData."""
    secret = yaml.safe_load(path.read_text())
    secret["stringData"].update(fields)
    write(path, secret)


def connect(local: LocalProxy, password: str = PASSWORD, **fields: Any) -> psycopg.Connection:
    given: dict[str, Any] = {
        "host": "localhost",
        "port": local.port,
        "user": ROLE,
        "password": password,
        "dbname": DATABASE,
        "sslmode": "verify-full",
        "sslrootcert": local.ca_file,
    }
    return psycopg.connect(**{**given, **fields}, autocommit=True)


def ask(local: LocalProxy, query: str, **fields: Any) -> Any:
    with connect(local, **fields) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


class TestServing:
    def test_a_client_that_verifies_the_printed_ca(
        self, files: tuple[Path, Path], start: Start
    ) -> None:
        local = start(files)
        with connect(local) as connection:
            assert connection.pgconn.ssl_in_use
            assert connection.execute("SELECT current_user, current_database()").fetchone() == (
                ROLE,
                DATABASE,
            )

    def test_the_address_is_in_the_certificate(
        self, files: tuple[Path, Path], start: Start
    ) -> None:
        local = start(files)
        assert ask(local, "SELECT 1", host="127.0.0.1") == 1

    def test_a_client_without_tls_is_refused(self, files: tuple[Path, Path], start: Start) -> None:
        local = start(files)
        dsn = f"host=127.0.0.1 port={local.port} user={ROLE} password={PASSWORD} sslmode=disable"
        with pytest.raises(psycopg.OperationalError, match="requires TLS"):
            psycopg.connect(dsn)

    def test_the_printed_line_works(self, files: tuple[Path, Path], start: Start) -> None:
        local = start(files)
        program, conninfo = shlex.split(local.out.splitlines()[-1])
        assert program == "psql"
        with psycopg.connect(conninfo, password=PASSWORD) as connection:
            assert connection.execute("SELECT 42").fetchone() == (42,)

    @pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")
    def test_the_printed_line_works_as_it_stands(
        self, files: tuple[Path, Path], start: Start
    ) -> None:
        local = start(files)
        done = subprocess.run(
            [*shlex.split(local.out.splitlines()[-1]), "-Atc", "SELECT 42"],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PGPASSWORD": PASSWORD},
        )
        assert (done.stdout, done.stderr) == ("42\n", "")

    def test_both_in_one_file_of_a_folder(
        self, files: tuple[Path, Path], start: Start, tmp_path: Path
    ) -> None:
        folder = tmp_path / "manifests"
        folder.mkdir()
        documents = [yaml.safe_load(file.read_text()) for file in files]
        write(folder / "all.yml", *documents)
        (folder / "notes.txt").write_text("not a manifest")
        assert ask(start([folder]), "SELECT 1") == 1

    def test_the_ca_outlives_the_process(self, files: tuple[Path, Path], start: Start) -> None:
        first = start(files)
        kept = Path(first.ca_file).read_text()
        first.finish()
        second = start(files)
        assert Path(second.ca_file).read_text() == kept
        assert ask(second, "SELECT 1") == 1

    def test_the_key_of_the_ca_is_the_users_own(
        self, files: tuple[Path, Path], start: Start
    ) -> None:
        local = start(files)
        folder = local.state_home / "sluice" / "shop-orders"
        assert Path(local.ca_file) == folder / "ca.crt"
        assert stat.S_IMODE((folder / "ca.key").stat().st_mode) == 0o600


class TestChanges:
    def test_a_new_password_is_live_and_the_old_one_has_its_grace(
        self, files: tuple[Path, Path], start: Start, server: Postgres
    ) -> None:
        local = start(files)
        before = local.config()["hash"]
        server.execute(f"ALTER ROLE {ROLE} PASSWORD 'second'")
        change(files[1], password="second")
        local.wait_until_changed(before)
        for password in (PASSWORD, "second"):
            assert ask(local, "SELECT 1", password=password) == 1

    def test_no_grace(self, files: tuple[Path, Path], start: Start, server: Postgres) -> None:
        proxy = yaml.safe_load(files[0].read_text())
        proxy["spec"]["auth"][0]["rotationGraceSeconds"] = 0
        write(files[0], proxy)
        local = start(files)
        before = local.config()["hash"]
        server.execute(f"ALTER ROLE {ROLE} PASSWORD 'second'")
        change(files[1], password="second")
        local.wait_until_changed(before)
        assert ask(local, "SELECT 1", password="second") == 1
        with pytest.raises(psycopg.OperationalError, match="is wrong"):
            connect(local)

    def test_a_file_written_in_place(self, files: tuple[Path, Path], start: Start) -> None:
        local = start(files)
        before = local.config()["hash"]
        text = files[0].read_text()
        files[0].write_text(text.replace("maxConnectionsPercent: 45", "maxConnectionsPercent: 44"))
        local.wait_until_changed(before)

    def test_a_file_added_to_a_folder(
        self, files: tuple[Path, Path], start: Start, tmp_path: Path, server: Postgres
    ) -> None:
        folder = tmp_path / "manifests"
        folder.mkdir()
        shutil.copy(files[0], folder)
        shutil.copy(files[1], folder)
        local = start([folder])
        write(folder / "broken.yaml", ["not an object"])
        local.wait_until_refused("broken.yaml:1: not an object")
        (folder / "broken.yaml").unlink()
        local.wait_until(lambda: not local.config()["error"], "no error any more")

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("kind: [", "secret.yaml:1: not YAML"),
            ("", "spec.auth[0].secretRef.name: Secret orders-app does not exist"),
            (
                "{kind: Secret, metadata: {namespace: shop, name: orders-app}, "
                "stringData: {username: orders}}",
                "spec.auth[0].secretRef: Secret orders-app has no key password",
            ),
        ],
    )
    def test_a_broken_file_keeps_the_old_one(
        self, files: tuple[Path, Path], start: Start, text: str, why: str
    ) -> None:
        local = start(files)
        before = local.config()["hash"]
        with connect(local) as inside:
            good = files[1].read_text()
            files[1].write_text(text)
            local.wait_until_refused(why)
            assert why in local.log
            assert local.config()["hash"] == before
            assert inside.execute("SELECT 1").fetchone() == (1,)
            assert ask(local, "SELECT 1") == 1
            files[1].write_text(good)
            local.wait_until(lambda: not local.config()["error"], "no error any more")

    def test_a_file_that_is_gone(self, files: tuple[Path, Path], start: Start) -> None:
        local = start(files)
        files[1].unlink()
        local.wait_until_refused("secret.yaml: No such file or directory")
        assert ask(local, "SELECT 1") == 1

    def test_no_password_is_ever_shown(self, files: tuple[Path, Path], start: Start) -> None:
        local = start(files)
        ask(local, "SELECT 1")
        files[1].write_text(f"kind: Secret\nstringData: {{password: *{PASSWORD}}}")
        local.wait_until_refused("not YAML")
        assert PASSWORD not in local.out + local.log + str(local.config())


class TestRefusals:
    """What `sluice run` says when it cannot begin."""

    def test_a_port_in_use(self, files: tuple[Path, Path], tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = sluice(
                "run", "-f", files[0], "-f", files[1], "--listen", f"127.0.0.1:{port}",
                state=tmp_path,
            )  # fmt: skip
        assert done.returncode == 1
        assert "Address already in use" in done.stderr
        assert str(port) in done.stderr
        assert (done.stdout, "Traceback" in done.stderr) == ("", False)

    def test_a_secret_that_is_missing(self, files: tuple[Path, Path], tmp_path: Path) -> None:
        done = sluice("run", "-f", files[0], state=tmp_path)
        assert done.returncode == 1
        assert done.stderr == (
            f"sluice: {files[0]}: DatabaseProxy shop/orders: spec.auth[0].secretRef.name: "
            "Secret orders-app does not exist in namespace shop of the files given\n"
        )

    def test_a_state_folder_that_cannot_be_written(
        self, files: tuple[Path, Path], tmp_path: Path
    ) -> None:
        (tmp_path / "state").write_text("a file where the folder should be")
        done = sluice("run", "-f", files[0], "-f", files[1], state=tmp_path / "state")
        assert done.returncode == 1
        assert "the CA cannot be kept here" in done.stderr


class TestOwnCertificate:
    def test_it_is_shown_to_clients(
        self, files: tuple[Path, Path], start: Start, trust: Any
    ) -> None:
        leaf = trust.authority.issue("localhost", "127.0.0.1")
        encoded = {
            "tls.crt": base64.b64encode(leaf.chain.encode()).decode(),
            "tls.key": base64.b64encode(leaf.private_key.encode()).decode(),
        }
        proxy, secret = (yaml.safe_load(file.read_text()) for file in files)
        proxy["spec"]["tls"] = {"secretRef": {"name": "mine"}}
        metadata = {"name": "mine", "namespace": "shop"}
        mine = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}
        local = start([write(files[0], proxy, secret, mine)])
        assert "CA: " not in local.out
        with psycopg.connect(
            f"host=localhost port={local.port} user={ROLE} password={PASSWORD} "
            f"sslmode=verify-full sslrootcert={trust.file}"
        ) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert not local.state_home.exists()
