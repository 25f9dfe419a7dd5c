"""What came of one look, as the status wants to know it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sluice_operator import names
from sluice_operator.api import conditions
from sluice_operator.api.manifest import InvalidManifest
from sluice_operator.decide.events import Changes
from sluice_operator.decide.observed import ChildKey, Children, Observed, Pod
from sluice_operator.decide.overcommit import Overcommit
from sluice_operator.decide.pause import Pause
from sluice_operator.decide.resolve import Missing, is_owned
from sluice_operator.decide.seen import Seen, Standing
from sluice_operator.decide.state import ProxyState
from sluice_operator.desired.inputs import Inputs
from sluice_operator.desired.manifest import Owner


@dataclass(frozen=True, slots=True)
class Failure:
    """A write that the API server failed at and that is to be tried again: the error raised."""

    what: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was planned and applied. `config_hash` names the document that is on the cluster.

    `pause` tells whether it sleeps. `settled` is False while something is waited for that no
    event will tell. `standing` is what there was before, where `inputs` is None.
    """

    inputs: Inputs | None
    missing: Missing | None
    deployment: Mapping[str, Any] | None = None
    config_hash: str = ""
    suspended: bool = False
    settled: bool = True
    changes: Changes = field(default_factory=Changes)
    standing: Standing | None = None
    failure: Failure | None = None
    pause: Pause = field(default_factory=Pause)


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
    return Outcome(
        inputs=inputs,
        missing=missing,
        deployment=observed.children.get(("Deployment", names.workload(proxy))),
        config_hash=_document(observed.children, proxy),
        suspended=True,
    )


def refused(missing: Missing, observed: Observed, owner: Owner) -> Outcome:
    """Nothing could be planned: what was made of the specs before goes on as it is."""
    ours = {key: item for key, item in observed.children.items() if is_owned(item, owner)}
    has_ca = ("Secret", names.ca_secret(owner.name)) in ours
    return Outcome(
        inputs=None,
        missing=missing,
        config_hash=_document(ours, owner.name),
        standing=Standing(owner, has_ca) if ours else None,
    )


def _document(children: Children, proxy: str) -> str:
    """The hash of the document on the cluster; empty if there is none."""
    secret = children.get(("Secret", names.config_secret(proxy))) or {}
    annotations = secret.get("metadata", {}).get("annotations") or {}
    return str(annotations.get(names.CONFIG_HASH, ""))


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
        standing=outcome.standing,
        failure="" if outcome.failure is None else outcome.failure.what,
        pause=outcome.pause,
    )
