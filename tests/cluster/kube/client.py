"""What a test holds of the cluster: its kubeconfig and the programs to talk to it."""

from dataclasses import dataclass
from pathlib import Path

from kube import appimages, gotools, places
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
