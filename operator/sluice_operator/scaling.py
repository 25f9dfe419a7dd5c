"""How many pods a proxy shall have: the one writer of a Deployment's scale, but for the activators.

A pause is a compare-and-swap: one that was decided before a wake never undoes it. Any other
number is what there shall be, whoever wrote meanwhile.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sluice_operator import names
from sluice_operator.api.v1alpha1 import AutoPause
from sluice_operator.cluster.activators import Activators
from sluice_operator.cluster.errors import ApiError, Conflict
from sluice_operator.cluster.objects import Objects
from sluice_operator.decide import outcome as outcomes
from sluice_operator.decide.fallback import slice_replicas
from sluice_operator.decide.observed import Observed
from sluice_operator.decide.outcome import Outcome, Sight
from sluice_operator.decide.pause import Pause, Question, pause, scale_of, wanted_replicas
from sluice_operator.decide.pod_trouble import is_rolling
from sluice_operator.decide.resolve import is_owned
from sluice_operator.desired.fallback_slice import readdressed
from sluice_operator.desired.manifest import Owner
from sluice_operator.proxies.states import States

UNREADABLE = "the spec needs a look: see the other conditions"
NOTHING_THERE = "it has no Deployment yet: see the other conditions"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scaler:
    """Brings the live Deployment to as many pods as are wanted. Raises ApiError."""

    objects: Objects
    states: States
    activators: Activators

    async def scale(
        self, auto_pause: AutoPause, outcome: Outcome, observed: Observed, sight: Sight
    ) -> Outcome:
        """`outcome` with how the proxy stands afterwards, and whether its size was changed."""
        live = outcome.deployment
        if live is None or outcome.inputs is None:
            return replace(outcome, pause=self._standing(None))
        question = self._question(auto_pause, outcome, live, sight)
        if outcome.suspended or outcome.failure is not None:
            return replace(outcome, pause=pause(question))
        wanted = wanted_replicas(question, outcome.inputs.spec.replicas)
        if wanted == 0 and question.replicas and not await self._still_idle(question):
            wanted = question.replicas
        if wanted == question.replicas:
            return replace(outcome, pause=pause(question))
        try:
            live = await self.objects.scale(live, wanted)
        except Conflict:
            # Somebody wrote it meanwhile, perhaps a wake: what to do then is another question.
            return replace(outcome, pause=pause(question), settled=False)
        log.info("scaled %s from %d to %d pods", _name(live), question.replicas, wanted)
        return _scaled(outcome, observed, live, replace(question, replicas=wanted))

    def _question(
        self, auto_pause: AutoPause, outcome: Outcome, live: Mapping[str, Any], sight: Sight
    ) -> Question:
        assert outcome.inputs is not None
        allowed = outcome.inputs.spec.replicas
        behind = outcomes.is_behind(outcome, sight)
        return Question(
            auto_pause=auto_pause,
            wakers=self.activators.wakers(),
            replicas=scale_of(live) or 0,
            pods=sight.pods,
            states=sight.states,
            whole=outcome.missing is None,
            calm=outcome.settled and not behind and not is_rolling(live, allowed),
            suspended=outcome.suspended,
        )

    def standing(self, observed: Observed, proxy: str) -> Pause:
        """How a proxy stands whose spec says nothing that could be carried out."""
        return self._standing(observed.children.get(("Deployment", names.workload(proxy))))

    def _standing(self, live: Mapping[str, Any] | None) -> Pause:
        wakeable = not self.activators.wakers().forsake
        if scale_of(live) == 0:
            return Pause(enabled=True, wakeable=wakeable, asleep=True)
        why = NOTHING_THERE if live is None else UNREADABLE
        return Pause(enabled=True, wakeable=wakeable, why_awake=why)

    async def keep_reachable(self, observed: Observed, owner: Owner, *, may_wake: bool) -> None:
        """Leads the slice that is there to the activators, though nothing else is written.

        Where there are none any more, who sleeps is woken if `may_wake`. What fails here
        is only told: the look has its own failures.
        """
        key = ("EndpointSlice", names.fallback_slice(owner.name))
        live = observed.children.get(key)
        if live is None or not is_owned(live, owner):
            return
        try:
            change = readdressed(live, self.activators.listed())
            if change is not None:
                await self.objects.change("EndpointSlice", owner.namespace, key[1], change)
            deployment = observed.children.get(("Deployment", names.workload(owner.name)))
            if may_wake and deployment is not None and self._is_forsaken(deployment):
                await self.objects.scale(deployment, max(1, slice_replicas(live)))
        except ApiError as error:
            log.warning("%s cannot be kept reachable: %s", _name(live), error)

    def _is_forsaken(self, deployment: Mapping[str, Any]) -> bool:
        return scale_of(deployment) == 0 and self.activators.wakers().forsake

    async def _still_idle(self, question: Question) -> bool:
        """The pods once more, right before the pause: what they said may be a look old."""
        again = await self.states.of(question.pods)
        return pause(replace(question, states=again)).due == 0.0


def _scaled(
    outcome: Outcome, observed: Observed, live: Mapping[str, Any], question: Question
) -> Outcome:
    key = ("Deployment", live["metadata"]["name"])
    before, now = scale_of(observed.children.get(key)), question.replicas
    # To sleep and to wake is told by other Events, and to begin by none.
    resized = (before, now) if before and now and before != now else None
    idle = question.auto_pause.idle_seconds if not now else None
    return replace(
        outcome,
        deployment=live,
        pause=pause(question),
        settled=False,
        changes=replace(outcome.changes, scaled=resized, paused=idle),
    )


def _name(live: Mapping[str, Any]) -> str:
    metadata = live["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"
