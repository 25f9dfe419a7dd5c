"""What came of one look, as the status wants to know it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sluice_operator import names
from sluice_operator.api import conditions
from sluice_operator.api.manifest import InvalidManifest
from sluice_operator.decide.events import Changes
from sluice_operator.decide.observed import ChildKey, Observed, Pod
from sluice_operator.decide.overcommit import Overcommit
from sluice_operator.decide.resolve import Missing
from sluice_operator.decide.seen import Seen
from sluice_operator.decide.state import ProxyState
from sluice_operator.desired.inputs import Inputs


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was planned and applied. `config_hash` names the document that is on the cluster.

    `settled` is False while something is waited for that no event will tell.
    """

    inputs: Inputs | None
    missing: Missing | None
    deployment: Mapping[str, Any] | None = None
    config_hash: str = ""
    suspended: bool = False
    settled: bool = True
    changes: Changes = field(default_factory=Changes)


@dataclass(frozen=True, slots=True)
class Sight:
    """The pods and what they said."""

    pods: tuple[Pod, ...] = ()
    states: Mapping[str, ProxyState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """The DatabaseProxy that is looked at, and what others ask of its database."""

    manifest: Mapping[str, Any]
    replicas: int = 0
    overcommit: Overcommit | None = None

    @property
    def metadata(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.manifest["metadata"]
        return found


def suspended(
    inputs: Inputs | None, missing: Missing | None, observed: Observed, proxy: str
) -> Outcome:
    """Nothing was done: what stands on the cluster is what counts."""
    secret = observed.children.get(("Secret", names.config_secret(proxy))) or {}
    annotations = secret.get("metadata", {}).get("annotations") or {}
    return Outcome(
        inputs=inputs,
        missing=missing,
        deployment=observed.children.get(("Deployment", names.workload(proxy))),
        config_hash=annotations.get(names.CONFIG_HASH, ""),
        suspended=True,
    )


def is_behind(outcome: Outcome, sight: Sight) -> bool:
    """Whether a pod is yet to take the document, as it will any moment."""
    if outcome.suspended or outcome.inputs is None:
        return False
    leaving = {pod.name for pod in sight.pods if pod.terminating}
    return any(
        state.config_hash != outcome.config_hash and not state.config_error
        for name, state in sight.states.items()
        if name not in leaving
    )


def name_taken(taken: tuple[ChildKey, ...], namespace: str) -> Missing:
    kind, name = taken[0]
    sentence = f"{kind} {namespace}/{name} exists and does not belong to this DatabaseProxy"
    return Missing(conditions.ACCEPTED, "NameTaken", "metadata.name", sentence)


def invalid(error: InvalidManifest) -> Missing:
    """A stored object that this version's model refuses: an older schema took it."""
    path, sentence = error.problems[0]
    reason = "UnsupportedEngineFamily" if path == "spec.engineFamily" else "Invalid"
    return Missing(conditions.ACCEPTED, reason, path, sentence)


def seen(proxy: Subject, outcome: Outcome, sight: Sight) -> Seen:
    """Everything that the status is computed from."""
    inputs = outcome.inputs
    return Seen(
        generation=proxy.manifest["metadata"]["generation"],
        inputs=inputs,
        missing=outcome.missing,
        notes=() if inputs is None else inputs.notes,
        config_hash=outcome.config_hash,
        deployment=outcome.deployment,
        pods=sight.pods,
        states=sight.states,
        replicas=proxy.replicas,
        suspended=outcome.suspended,
        overcommit=proxy.overcommit,
    )
