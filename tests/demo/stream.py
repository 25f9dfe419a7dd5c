"""Shows how a load goes while it runs."""

from kube.client import Cluster
from kube.progress import say

from sluice_testing.load import Load, Run, Step, follow

_PROGRESS_SECONDS = 5.0


class Progress:
    """A line every few seconds."""

    def __init__(self) -> None:
        self._shown = -_PROGRESS_SECONDS

    def __call__(self, run: Run) -> None:
        if run.samples and run.at >= self._shown + _PROGRESS_SECONDS:
            self._shown = run.at
            say(_progress(run))


def shown(cluster: Cluster, load: Load, steps: list[Step] | None = None) -> Run:
    """Runs the load to its end and takes the steps when their time has come."""
    run = follow(cluster, load, steps, Progress())
    say(_progress(run))
    return run


def _progress(run: Run) -> str:
    now = run.samples[-1]
    return (
        f"  {now.connected:5,} clients connected, {now.server_connections:3} server connections; "
        f"{now.sessions:5,} clients came and went, {now.errors:,} errors"
    )
