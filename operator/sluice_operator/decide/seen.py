"""Everything that a status is computed from, with the questions that several ask of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sluice_operator.decide.observed import Pod
from sluice_operator.decide.overcommit import Overcommit
from sluice_operator.decide.pause import Pause
from sluice_operator.decide.resolve import Missing
from sluice_operator.decide.state import ProxyState, TargetState
from sluice_operator.desired.inputs import Inputs
from sluice_operator.desired.manifest import Owner


@dataclass(frozen=True, slots=True)
class Standing:
    """Whose children stand on the cluster, and whether the CA for clients is among them."""

    owner: Owner
    has_ca: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one DatabaseProxy and what came of it.

    `inputs` is None where the spec leads to nothing; what serves all the same is `standing`,
    which is None where nothing was ever made. `deployment` is the live one. `states`
    is what the pods that answered said, by the pod's name; pods that are not ready may be
    among them. `config_hash` names the document that is applied; while `suspended`, pods may
    serve any. `replicas` is what the spec asks for: the Deployment may have fewer until there
    is room in the budget. `overcommit` is there if the database is shared out beyond 100 %.
    `failure` names what could not be written, with the API server's words; empty if all was.
    `pause` tells whether it shall sleep.
    """

    generation: int
    inputs: Inputs | None
    missing: Missing | None
    notes: tuple[str, ...]
    config_hash: str
    deployment: Mapping[str, Any] | None
    pods: tuple[Pod, ...]
    states: Mapping[str, ProxyState]
    replicas: int = 0
    suspended: bool = False
    overcommit: Overcommit | None = None
    standing: Standing | None = None
    failure: str = ""
    pause: Pause = field(default_factory=Pause)

    @property
    def serves(self) -> bool:
        """Whether there is a pod that takes clients."""
        return any(pod.serving for pod in self.pods)

    @property
    def answers(self) -> tuple[ProxyState, ...]:
        """What ready pods said; a silent one may just be slow, and tells nothing."""
        return tuple(
            self.states[pod.name] for pod in self.pods if pod.serving and pod.name in self.states
        )

    @property
    def telling(self) -> tuple[ProxyState, ...]:
        """Answers that count: of ready pods with the applied document, else of any ready one.

        While a change is on its way to the pods, those before it go on serving.
        """
        return tuple(filter(self.is_current, self.answers)) or self.answers

    @property
    def behind(self) -> int:
        """How many ready pods serve another document than they should."""
        return sum(not self.is_current(state) for state in self.answers)

    @property
    def refusal(self) -> str:
        """Why a pod will not serve the applied document; empty if none says so."""
        errors = (s.config_error for s in self.states.values() if not self.is_current(s))
        return next(filter(None, errors), "")

    @property
    def targets(self) -> tuple[TargetState, ...]:
        """The servers as the telling pods see them, whichever they are."""
        return tuple(target for state in self.telling for target in state.targets)

    def is_current(self, state: ProxyState) -> bool:
        return self.suspended or state.config_hash == self.config_hash
