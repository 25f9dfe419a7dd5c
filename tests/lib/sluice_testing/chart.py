"""The product as users install it: by its chart, with the images of the present sources."""

from pathlib import Path
from typing import Protocol

from sluice_testing.kubernetes import Kubectl

CHART = Path(__file__).resolve().parents[3] / "charts" / "sluice"
SYSTEM = "sluice-system"
OPERATOR = "deployment/sluice-operator"


class Helm(Kubectl, Protocol):
    """What these helpers need of the fixture `cluster`."""

    def helm(self, *arguments: str, input: str | None = None, timeout: float = ...) -> str: ...


def install(cluster: Helm, *arguments: str) -> None:
    """Installs or upgrades the chart as README says, with no values; waits for the operator.

    `arguments` are more of `helm upgrade --install`.
    """
    cluster.helm(
        *("upgrade", "--install", "sluice", str(CHART), "--namespace", SYSTEM),
        *("--create-namespace", *arguments),
    )
    # The tag stays the same when the sources change.
    cluster.kubectl("-n", SYSTEM, "rollout", "restart", OPERATOR)
    cluster.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=180s")
