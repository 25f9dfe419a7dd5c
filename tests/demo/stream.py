"""The load runs in a pod; what it tells comes here line by line, while it runs."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from figures import Run
from kube import gotools
from kube.client import Cluster
from kube.progress import Trouble, say

from sluice_testing.pods import PASSWORD_FILE

_PROGRESS_SECONDS = 5.0


@dataclass(frozen=True)
class Load:
    """So many clients, evenly over `ramp`, each for about `work`, new ones for `seconds`."""

    namespace: str
    pod: str
    clients: int
    ramp: float = 0.0
    seconds: float = 0.0
    work: float = 25.0

    def command(self) -> list[str]:
        return [
            *("python3", "/clients/load.py", f"--clients={self.clients}", f"--ramp={self.ramp}"),
            *(f"--seconds={self.seconds}", f"--work={self.work}"),
            f"--password-file={PASSWORD_FILE}",
        ]


@dataclass
class Step:
    """Something to be done while the load runs, `at` seconds after its start."""

    at: float
    act: Callable[[float], None]


def follow(cluster: Cluster, load: Load, steps: list[Step] | None = None) -> Run:
    """Runs the load to its end, shows how it goes, takes the steps when their time has come."""
    run = Run()
    due = list(steps or [])
    shown = -_PROGRESS_SECONDS
    for line in _lines(cluster, load):
        run.add(json.loads(line))
        if run.at >= shown + _PROGRESS_SECONDS:
            shown = run.at
            say(_progress(run))
        if due and run.at >= due[0].at:
            due.pop(0).act(run.at)
    if not run.ended or not run.samples:
        raise Trouble(f"the load in pod {load.pod} ended before its time")
    say(_progress(run))
    return run


def _progress(run: Run) -> str:
    now = run.samples[-1]
    return (
        f"  {now.connected:5,} clients connected, {now.server_connections:3} server connections; "
        f"{now.sessions:5,} clients came and went, {now.errors:,} errors"
    )


def _lines(cluster: Cluster, load: Load) -> Iterator[str]:
    kubectl = (gotools.program("kubectl"), "--kubeconfig", cluster.kubeconfig)
    where = ("-n", load.namespace, "exec", load.pod, "--")
    command = [str(word) for word in (*kubectl, *where, *load.command())]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield from process.stdout
        except BaseException:
            process.terminate()
            raise
        if process.wait():
            raise Trouble(f"the load in pod {load.pod} failed:\n{process.stderr.read()[-2000:]}")
