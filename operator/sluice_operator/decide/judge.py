"""The seven conditions of a proxy, each from what was seen; `Ready` also from the others."""

from collections.abc import Mapping
from typing import Any

from sluice_operator.api import conditions
from sluice_operator.api.conditions import Reason
from sluice_operator.decide.overcommit import sentence
from sluice_operator.decide.pod_trouble import is_overdue, is_rolling, pod_trouble
from sluice_operator.decide.scarcity import scarcity
from sluice_operator.decide.seen import Seen
from sluice_operator.decide.sleep import RESTING, paused
from sluice_operator.decide.target_health import Remembered, available, health, remembered
from sluice_operator.decide.verdict import Verdict, blamed, no, unknown, words, yes

Verdicts = Mapping[str, Verdict]
"""By the type of the condition."""


def judge(seen: Seen, old: Mapping[str, Any]) -> Verdicts:
    """A verdict for each of `conditions.TYPES`; `old` is the status of before.

    Only of what pods told before they went does `old` decide anything.
    """
    rest = paused(seen, old)
    last = recalled(seen, rest, old)
    verdicts = {
        conditions.ACCEPTED: _accepted(seen),
        conditions.CREDENTIALS_READY: _credentials(seen),
        conditions.TARGETS_AVAILABLE: available(seen) if last is None else last.verdict,
        conditions.OVERCOMMITTED: _overcommitted(seen),
        conditions.PROGRESSING: _progressing(seen),
        conditions.PAUSED: rest,
    }
    return {**verdicts, conditions.READY: _ready(seen, verdicts)}


def recalled(seen: Seen, rest: Verdict, old: Mapping[str, Any]) -> Remembered | None:
    """What was told last of the servers, while nobody needs to know more."""
    return remembered(seen, old) if rest.reason in RESTING else None


def _accepted(seen: Seen) -> Verdict:
    if seen.missing is not None and seen.missing.condition == conditions.ACCEPTED:
        return _refused(seen)
    short = scarcity(seen)
    notes = (*seen.notes, *([] if short is None else [short.sentence]))
    return yes(Reason.VALID, "; ".join(notes))


def _credentials(seen: Seen) -> Verdict:
    if seen.missing is None:
        return yes(Reason.RESOLVED)
    if seen.missing.condition == conditions.CREDENTIALS_READY:
        return _refused(seen)
    return unknown(Reason.NOT_ACCEPTED)


def _refused(seen: Seen) -> Verdict:
    assert seen.missing is not None
    verdict = blamed(conditions.reason_of(seen.missing.reason), words(seen.missing.message))
    if not ((seen.serves or seen.pause.asleep) and seen.missing.halts):
        return verdict
    return no(verdict.reason, f"{verdict.message}; the last good configuration goes on serving")


def _overcommitted(seen: Seen) -> Verdict:
    if seen.overcommit is None:
        return no(Reason.WITHIN_LIMITS)
    remedy = Reason.SHARED_BUDGET_EXCEEDED.remedy
    return yes(Reason.SHARED_BUDGET_EXCEEDED, f"{sentence(seen.overcommit)}: {remedy}")


def _progressing(seen: Seen) -> Verdict:
    if seen.suspended:
        return blamed(Reason.SUSPENDED, "nothing is written or deleted")
    if seen.inputs is None:
        return blamed(Reason.BLOCKED, Reason.BLOCKED.meaning)
    short = scarcity(seen)
    if short is not None and short.starves:
        return no(Reason.BUDGET_TOO_SMALL, short.sentence)
    if seen.failure:
        return blamed(Reason.API_SERVER_ERROR, words(seen.failure))
    if not seen.pause.asleep and is_rolling(seen.deployment, seen.replicas):
        return _rolling(seen)
    if seen.refusal:
        return blamed(Reason.CONFIGURATION_REFUSED, words(seen.refusal))
    if seen.behind:
        what = f"pods that still serve the configuration before it: {seen.behind}"
        return yes(Reason.CONFIGURATION_PENDING, what)
    if seen.missing is not None and seen.missing.halts:
        return blamed(Reason.BLOCKED, Reason.BLOCKED.meaning)
    if not seen.answers and not seen.pause.asleep:
        what = "no ready pod has told yet which configuration it serves"
        return yes(Reason.CONFIGURATION_PENDING, what)
    return no(Reason.SETTLED)


def _rolling(seen: Seen) -> Verdict:
    trouble = pod_trouble(seen.pods, seen.deployment)
    if trouble is not None:
        return trouble
    if is_overdue(seen.deployment):
        overdue = Reason.PROGRESS_DEADLINE_EXCEEDED
        return blamed(overdue, overdue.meaning)
    return yes(Reason.ROLLING_OUT, Reason.ROLLING_OUT.meaning)


def _ready(seen: Seen, verdicts: Verdicts) -> Verdict:
    """Whether a client can log in now, through whichever pods there are."""
    progress = verdicts[conditions.PROGRESSING]
    if progress.reason == Reason.BUDGET_TOO_SMALL:
        return progress
    if verdicts[conditions.PAUSED].reason in RESTING:
        return _held(seen, verdicts)
    if not seen.serves:
        return _not_served(verdicts)
    wanted = () if seen.inputs is None else seen.inputs.config.targets
    served = health(seen.targets, [(target.host, target.port) for target in wanted])
    if not served.holds:
        return served
    return yes(Reason.SERVING, "clients can log in")


def _held(seen: Seen, verdicts: Verdicts) -> Verdict:
    """Whether a client can log in that an activator holds until there is a pod."""
    rest, servers = verdicts[conditions.PAUSED], verdicts[conditions.TARGETS_AVAILABLE]
    if not seen.pause.wakeable:
        return blamed(Reason.NO_ACTIVATOR, "no pod serves, and nobody holds clients meanwhile")
    if rest.reason == Reason.WAKING and (trouble := _hindrance(seen, verdicts)) is not None:
        return trouble
    if servers.fails:
        return servers
    how = "is held until a pod listens" if rest.reason == Reason.WAKING else "wakes it"
    return yes(rest.reason, f"clients can log in: the next connection {how}")


def _hindrance(seen: Seen, verdicts: Verdicts) -> Verdict | None:
    """What keeps a proxy from waking up; pods come up also while the operator writes nothing."""
    progress = verdicts[conditions.PROGRESSING]
    if progress.reason in (Reason.SUSPENDED, Reason.BLOCKED):
        return pod_trouble(seen.pods, seen.deployment)
    return progress if progress.fails and progress.reason != Reason.SETTLED else None


def _not_served(verdicts: Verdicts) -> Verdict:
    """Why there is no pod, by the first condition that knows."""
    for kind in (conditions.ACCEPTED, conditions.CREDENTIALS_READY, conditions.PROGRESSING):
        if verdicts[kind].fails:
            return verdicts[kind]
    return no(Reason.PODS_NOT_READY, Reason.PODS_NOT_READY.meaning)
