"""Whether a proxy may sleep, whether it does, and why not.

It is idle when every pod says so of itself, for long enough; whoever says nothing counts as
busy, and so does whatever is under way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluice_operator.api.v1alpha1 import AutoPause
from sluice_operator.decide.observed import Pod
from sluice_operator.decide.state import ProxyState

FORSAKEN_SECONDS = 60.0
"""So long sleeping proxies go without an activator; then all are woken, or nobody could be."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Where a proxy stands between awake and asleep.

    `enabled` is `spec.autoPause.enabled`, `wakeable` tells that there are activators to wake
    it. `asleep`: its Deployment shall have no pod now. `why_awake` is a sentence that says why
    it is not paused; empty while it is asleep. `in_use`: but for its clients it might be.
    `due` is in how many seconds it may be paused if no client comes, None where more than time
    is needed.
    """

    enabled: bool = False
    wakeable: bool = False
    asleep: bool = False
    why_awake: str = ""
    in_use: bool = False
    due: float | None = None


@dataclass(frozen=True, slots=True)
class Wakers:
    """The activators: whether any is installed, how many are ready, and for how many seconds
    there has been none."""

    installed: bool = False
    ready: int = 0
    gone_for: float = 0.0

    @property
    def forsake(self) -> bool:
        """Whether who sleeps had better be woken while somebody can."""
        return not self.installed or (not self.ready and self.gone_for >= FORSAKEN_SECONDS)


@dataclass(frozen=True, slots=True)
class Question:
    """What the decision is made from.

    `replicas` is how many pods the live Deployment shall have, `whole` tells that nothing of
    spec and Secrets is missing, and `calm` that no pod, document or share is on its way.
    """

    auto_pause: AutoPause
    wakers: Wakers
    replicas: int
    pods: tuple[Pod, ...]
    states: Mapping[str, ProxyState]
    whole: bool = True
    calm: bool = True
    suspended: bool = False


def pause(question: Question) -> Pause:
    """How the proxy stands; it may be paused now where `due` is 0."""
    asleep = question.replicas == 0
    enabled, wakeable = question.auto_pause.enabled, not question.wakers.forsake
    if asleep:
        return Pause(enabled, wakeable, asleep=True)
    if why := _hindrance(question):
        return Pause(enabled, wakeable, why_awake=why)
    if why := _clients(question):
        return Pause(enabled, wakeable, why_awake=why, in_use=True)
    idle = min(state.idle_seconds or 0.0 for state in _answers(question))
    limit = question.auto_pause.idle_seconds
    why = f"no client is connected: it pauses when none came for {limit} s"
    return Pause(enabled, wakeable, why_awake=why, in_use=True, due=max(0.0, limit - idle))


def must_wake(question: Question) -> bool:
    """Whether a proxy that is asleep has to be woken by the operator.

    A client wakes it through an activator. But where dataplanes are late, new ones come to pods
    that are on their way out, and nobody else sees that.
    """
    found = Pause(question.auto_pause.enabled, not question.wakers.forsake)
    if not (found.enabled and found.wakeable):
        return True
    leaving = (question.states.get(pod.name) for pod in question.pods if pod.terminating)
    return any(state is not None and state.pool.clients > 0 for state in leaving)


def wanted_replicas(question: Question, allowed: int) -> int:
    """How many pods there shall be; `allowed` is what spec and budget come to."""
    if question.replicas == 0:
        return allowed if must_wake(question) else 0
    return 0 if pause(question).due == 0.0 else allowed


def _hindrance(question: Question) -> str:
    """What has to be over before clients count."""
    wakers = question.wakers
    hindrances = (
        (question.suspended, "spec.suspend is set"),
        (not question.auto_pause.enabled, "spec.autoPause.enabled is false"),
        (not wakers.installed, "no activator is installed that could wake it"),
        (not wakers.ready, "no activator is ready that could wake it"),
        (not question.whole, "the spec or a Secret needs a look: see the other conditions"),
        (not _serving(question), "its pods are being started"),
        (not question.calm, "pods or settings are being changed"),
        (_is_troubled(question), "the server is not available: see the condition TargetsAvailable"),
        (len(_answers(question)) < len(_serving(question)), "not every pod has answered"),
    )
    return next((sentence for holds, sentence in hindrances if holds), "")


def _is_troubled(question: Question) -> bool:
    """Who sleeps asks no server: whether the trouble is over would be told by nobody."""
    healths = {target.health for state in _answers(question) for target in state.targets}
    return bool(healths - {"Available"})


def _clients(question: Question) -> str:
    count = sum(state.pool.clients for state in question.states.values())
    if count:
        return f"{count} clients are connected" if count > 1 else "1 client is connected"
    if any(state.idle_seconds is None for state in _answers(question)):
        return "pods of an older version do not tell how long they have been idle"
    return ""


def _serving(question: Question) -> list[Pod]:
    return [pod for pod in question.pods if pod.serving]


def _answers(question: Question) -> list[ProxyState]:
    """What the pods that serve said of themselves."""
    told = (question.states.get(pod.name) for pod in _serving(question))
    return [state for state in told if state is not None]


def scale_of(deployment: Mapping[str, Any] | None) -> int | None:
    """How many pods a Deployment shall have; None if there is none."""
    return None if deployment is None else int(deployment["spec"].get("replicas", 1))
