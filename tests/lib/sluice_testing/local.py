"""`sluice run` as its own process, in front of files that change under it."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sluice_testing.certificates import Leaf
from sluice_testing.postgres import APP_DATABASE, APP_PASSWORD, APP_USER, Postgres, free_port
from sluice_testing.proxy import wait_until

SLUICE = Path(sys.executable).with_name("sluice")


def sluice(*arguments: str | Path, state: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """A `sluice` that is expected to end by itself; `state` is its XDG_STATE_HOME."""
    return subprocess.run(
        [SLUICE, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "XDG_STATE_HOME": str(state)},
        **options,
    )


def manifests(server: Postgres, leaf: Leaf, ca: str, percent: int = 5) -> str:
    """A DatabaseProxy in front of `server` and its Secrets; JSON is YAML, too."""
    secrets = {
        "app": {"username": APP_USER, "password": APP_PASSWORD, "database": APP_DATABASE},
        "ca": {"ca.crt": ca},
        "leaf": {"tls.crt": leaf.chain, "tls.key": leaf.private_key},
    }
    proxy = {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "DatabaseProxy",
        "metadata": {"name": "stories"},
        "spec": {
            "targets": [{"host": server.host, "port": server.port}],
            "targetTLS": {"mode": "VerifyFull", "caSecretRef": {"name": "ca"}},
            "auth": [{"secretRef": {"name": "app"}}],
            "requireTLS": False,
            "tls": {"secretRef": {"name": "leaf"}},
            "connectionPool": {
                "maxConnectionsPercent": percent,
                "connectionBorrowTimeoutSeconds": 20,
            },
        },
    }
    objects = [proxy, *(_secret(name, data) for name, data in secrets.items())]
    return "\n---\n".join(json.dumps(item) for item in objects)


def _secret(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


class LocalProxy:
    """`sluice run -f …`, ready. `finish` ends it and judges its whole life."""

    def __init__(self, given: Sequence[Path], folder: Path, *options: str):
        self.host = "localhost"
        self.port = free_port()
        self.admin_port = free_port()
        self.state_home = folder / "state"
        self._out, self._log = folder / "out", folder / "log"
        with self._out.open("wb") as out, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [SLUICE, "run", *self._arguments(given), *options],
                stdout=out,
                stderr=log,
                env={**os.environ, "XDG_STATE_HOME": str(self.state_home)},
            )

    def _arguments(self, given: Sequence[Path]) -> list[str]:
        files = [part for path in given for part in ("-f", str(path))]
        listen, admin = f"127.0.0.1:{self.port}", f"127.0.0.1:{self.admin_port}"
        return [*files, "--listen", listen, "--admin", admin]

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def ca_file(self) -> str:
        """As it was printed."""
        [line] = [line for line in self.out.splitlines() if line.startswith("CA: ")]
        return line.removeprefix("CA: ")

    def wait_until_guided(self) -> None:
        """Until it has said how to connect."""
        self.wait_until(lambda: "psql " in self.out, "the line for clients")

    def wait_until(self, condition: Any, what: str) -> None:
        def checked() -> object:
            assert self._process.poll() is None, f"it ended:\n{self.log}"
            return condition()

        try:
            wait_until(checked, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None

    def config(self) -> dict[str, str]:
        """`hash` and `error` as `/state` tells them."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=5)
        try:
            connection.request("GET", "/state")
            told: dict[str, str] = json.loads(connection.getresponse().read())["config"]
            return told
        finally:
            connection.close()

    def wait_until_changed(self, before: str) -> None:
        """Until another configuration than `before`, a hash, is live."""
        self.wait_until(lambda: self.config()["hash"] != before, "a changed configuration")

    def wait_until_refused(self, why: str) -> None:
        """Until `/state` tells of an error that holds `why`."""
        self.wait_until(lambda: why in self.config()["error"], f"error: {why}")

    def finish(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"it did not end within 20 s of SIGTERM:\n{self.log}") from None
        assert "Traceback (most recent call last)" not in self.log, self.log
        assert self._process.returncode == 0, f"{self._process.returncode}:\n{self.log}"
