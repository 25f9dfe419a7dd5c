"""What a test holds of the cluster: its kubeconfig and the programs to talk to it."""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kube import appimages, gotools, kindcluster, places
from kube import engine as engines
from kube.progress import Trouble
from kube.shell import run

_COMMAND_SECONDS = 300.0


@dataclass(frozen=True)
class Cluster:
    """The cluster that was made here, and the programs to talk to it."""

    kubeconfig: Path

    def kubectl(
        self, *arguments: str, input: str | None = None, timeout: float = _COMMAND_SECONDS
    ) -> str:
        """kubectl's stdout; CommandFailed with its words if it fails; `timeout` in seconds."""
        return self._run("kubectl", arguments, input, timeout)

    def helm(
        self, *arguments: str, input: str | None = None, timeout: float = _COMMAND_SECONDS
    ) -> str:
        """helm's stdout; CommandFailed with its words if it fails; `timeout` in seconds."""
        return self._run("helm", arguments, input, timeout)

    def kubeconform(self, *arguments: str, input: str | None = None) -> str:
        """kubeconform's stdout: manifests against their schemas, without a cluster."""
        return self._run("kubeconform", arguments, input, _COMMAND_SECONDS)

    @contextlib.contextmanager
    def lines(self, *arguments: str) -> Iterator[Iterator[str]]:
        """kubectl's stdout line by line, while it runs; Trouble if it fails."""
        command = (gotools.program("kubectl"), "--kubeconfig", self.kubeconfig, *arguments)
        with subprocess.Popen(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                yield process.stdout
            except BaseException:
                process.terminate()
                raise
            if process.wait():
                raise Trouble(f"kubectl {arguments[:4]}: {process.stderr.read()[-2000:]}")

    def on_node(self, *command: str) -> str:
        """stdout of a command in the container that is the cluster's node, as its root."""
        return engines.needed().docker("exec", kindcluster.NODE, *command, timeout=_COMMAND_SECONDS)

    def load_images(self) -> None:
        """Builds the images whose sources changed and loads them."""
        with places.alone():
            appimages.build_and_load()

    def _run(self, name: str, arguments: tuple[str, ...], input: str | None, timeout: float) -> str:
        environment = {"KUBECONFIG": str(self.kubeconfig)}
        program = gotools.program(name)
        return run(program, *arguments, input=input, env=environment, timeout=timeout)
