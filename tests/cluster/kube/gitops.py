"""What Argo CD, Flux and the Prometheus operator make of an object: go/gitops."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kube import gotools, places
from kube.shell import run

HEALTH = places.REPOSITORY / "docs" / "gitops" / "argocd" / "health.lua"


@dataclass(frozen=True)
class Opinion:
    """A word (Healthy, Current, …) and a sentence."""

    status: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """What Argo CD says by a script, and what Flux says by kstatus."""

    argo: Opinion
    flux: Opinion


def verdict(manifest: dict[str, Any], script: Path = HEALTH) -> Verdict:
    """Raises CommandFailed with the engine's words where the script cannot be run."""
    said = run(gotools.program("gitops"), "verdict", script, input=json.dumps(manifest))
    opinions = json.loads(said)
    return Verdict(Opinion(**opinions["argo"]), Opinion(**opinions["flux"]))


def strict(manifests: Sequence[dict[str, Any]]) -> None:
    """Raises CommandFailed at a field, or a kind, that the controller's types do not have."""
    run(gotools.program("gitops"), "strict", input=json.dumps(list(manifests)))
