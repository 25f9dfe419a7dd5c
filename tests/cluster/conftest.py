"""The real cluster as a fixture; the same code as `make cluster` and `make images`."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from kube import appimages, gotools, kindcluster, places
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

    def load_images(self) -> None:
        """Builds the images whose sources changed and loads them."""
        with places.alone():
            appimages.build_and_load()

    def _run(self, name: str, arguments: tuple[str, ...], input: str | None, timeout: float) -> str:
        environment = {"KUBECONFIG": str(self.kubeconfig)}
        program = gotools.program(name)
        return run(program, *arguments, input=input, env=environment, timeout=timeout)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster of `make cluster`, brought up if it is not; it stays up after the tests."""
    try:
        with places.alone():
            kindcluster.up()
    except Trouble as trouble:
        pytest.fail(f"no cluster: {trouble}", pytrace=False)
    return Cluster(places.KUBECONFIG)
