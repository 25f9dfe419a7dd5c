"""The proxy as its own process, with a configuration that changes the kubelet's way."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from sluice_proxy.config import CONFIG_KEY, ProxyConfig, digest, dump
from sluice_testing.postgres import free_port

START_SECONDS = 20.0
PROXY = ("-m", "sluice_proxy")


def wait_until(condition: Callable[[], object], what: str, seconds: float = 15.0) -> None:
    """Polls; fails the test, naming `what`, when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Answer:
    """What the admin port answered."""

    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)


class ConfigVolume:
    """A folder as the kubelet mounts a Secret: `..data` is swapped, never a file rewritten."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._generation = 0
        self.path = folder / CONFIG_KEY
        folder.mkdir(parents=True)
        self.path.symlink_to(Path("..data") / CONFIG_KEY)

    def write(self, text: str) -> None:
        self._generation += 1
        content = self._folder / f"..{self._generation}"
        content.mkdir()
        (content / CONFIG_KEY).write_text(text)
        fresh = self._folder / "..data_tmp"
        fresh.symlink_to(content.name)
        fresh.rename(self._folder / "..data")


class Serving:
    """A program that serves HTTP for probes: started, asked and ended.

    `arguments` are the interpreter's. Ending it through `finish` checks that it exits with 0
    and that it never logged a traceback.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        admin: tuple[str, int],
        environment: Mapping[str, str] | None = None,
    ):
        self.host, self.admin_port = admin
        self._log = log
        self._finished = False
        self._terminated = False
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def events(self) -> list[dict[str, Any]]:
        """The log as its JSON lines."""
        return [json.loads(line) for line in self.log.splitlines()]

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float = 15.0) -> None:
        def checked() -> object:
            assert self.running, f"it ended with {self._process.returncode}:\n{self.log}"
            return condition()

        try:
            wait_until(checked, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> Answer:
        connection = http.client.HTTPConnection(self.host, self.admin_port, timeout=5)
        try:
            connection.request(method, path, headers=dict(headers or {}))
            response = connection.getresponse()
            given = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, response.read().decode(), given)
        finally:
            connection.close()

    def metrics(self) -> dict[str, float]:
        """Every sample, named as in the text: `name{label="value"}`."""
        samples: dict[str, float] = {}
        for family in text_string_to_metric_families(self.get("/metrics").text):
            for sample in family.samples:
                labels = ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))
                samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return samples

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> None:
        self._terminated = True
        self._process.send_signal(number)

    def wait(self, seconds: float = 20.0) -> int:
        """The exit code."""
        return self._process.wait(seconds)

    def kill(self) -> None:
        """Ends the process unjudged: for one that is broken on purpose."""
        self._finished = True
        self._process.kill()
        self._process.wait()

    def finish(self) -> None:
        """Ends the process, if it still runs, and judges its whole life."""
        if self._finished:
            return
        self._finished = True
        forced = self._end()
        assert "Traceback (most recent call last)" not in self.log, self.log
        assert not forced, f"it did not end within 20 s of SIGTERM:\n{self.log}"
        assert self._process.returncode == 0, f"{self._process.returncode}:\n{self.log}"

    def _end(self) -> bool:
        """Whether it had to be killed."""
        if self.running and not self._terminated:
            self.terminate()
        try:
            self.wait()
            return False
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return True

    def _answers(self, path: str) -> bool:
        try:
            return self.get(path).status == 200
        except OSError:
            return False


class ProxyProcess(Serving):
    """`python -m sluice_proxy`, started, asked, told anew and ended.

    `program` is what the interpreter is given instead of `-m sluice_proxy`; `activators` is the
    port for them.
    """

    def __init__(
        self,
        config: ProxyConfig,
        folder: Path,
        program: Sequence[str] = PROXY,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        activators: int = 0,
        environment: Mapping[str, str] | None = None,
    ):
        self.port = port or free_port()
        self.activator_port = activators or free_port()
        self.volume = ConfigVolume(folder / "config")
        self.volume.write(dump(config))
        self.config = config
        admin = free_port()
        ports = {"--listen": self.port, "--admin": admin, "--activators": self.activator_port}
        places = [word for name, port in ports.items() for word in (name, f"{host}:{port}")]
        arguments = (*program, "--config", str(self.volume.path), *places)
        super().__init__(arguments, folder / "proxy.log", (host, admin), environment)

    def wait_until_ready(self) -> None:
        """Ready, and it has logged in on its server."""
        self.wait_until(lambda: self._answers("/readyz"), "/readyz says 200", START_SECONDS)
        self.wait_until(lambda: self.health == ["Available"], "its target is Available")

    @property
    def health(self) -> list[str]:
        return [target["health"] for target in self.state()["targets"]]

    def wait_until_alive(self) -> None:
        """Serving its admin port, whether or not the server is there."""
        self.wait_until(lambda: self._answers("/healthz"), "/healthz says 200", START_SECONDS)

    def wait_for_pool(self, seconds: float = 15.0, **figures: int) -> None:
        """Until `/state` shows these figures of the pool: open, borrowed, waiting…"""

        def shown() -> bool:
            pool = self.state()["pool"]
            return all(pool[name] == figure for name, figure in figures.items())

        self.wait_until(shown, f"the pool at {figures}", seconds)

    def state(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.get("/state").text)
        return document

    def reload(self, config: ProxyConfig) -> None:
        """Swaps the mounted configuration and waits until the proxy has taken it."""
        text = dump(config)
        self.volume.write(text)
        self.config = config

        def taken() -> bool:
            return bool(self.state()["config"]["hash"] == digest(text))

        self.wait_until(taken, "the new configuration in /state")
