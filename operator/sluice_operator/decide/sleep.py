"""The condition `Paused`: whether a proxy sleeps, is on its way there or back, or why neither."""

from collections.abc import Mapping
from typing import Any

from sluice_operator.api import conditions
from sluice_operator.api.conditions import UNKNOWN, Reason
from sluice_operator.decide.seen import Seen
from sluice_operator.decide.target_health import available
from sluice_operator.decide.verdict import Verdict, blamed, no, yes

ASLEEP = frozenset((Reason.PAUSED, Reason.DRAINING))
"""Reasons of `Paused` while there shall be no pod."""

RESTING = ASLEEP | {Reason.WAKING}
"""Reasons of `Paused` while no pod need serve: whoever comes is held by an activator."""


def paused(seen: Seen, old: Mapping[str, Any]) -> Verdict:
    """Whether it is paused; `old` is the status of before, which alone knows of a sleep.

    `Waking` lasts until a pod has told how the server is: what was told last of it counts
    until then, so that no wake looks like a failure.
    """
    if seen.pause.asleep:
        asleep = yes if not seen.pods else no
        reason = Reason.DRAINING if seen.pods else Reason.PAUSED
        return asleep(reason, reason.meaning)
    health = available(seen)
    if health.status == UNKNOWN and _reason_of_before(old) in RESTING:
        return no(Reason.WAKING, health.message if seen.serves else Reason.WAKING.meaning)
    return _awake(seen)


def _awake(seen: Seen) -> Verdict:
    why = seen.pause.why_awake
    if not seen.pause.enabled:
        return no(Reason.AUTO_PAUSE_DISABLED, why or Reason.AUTO_PAUSE_DISABLED.meaning)
    if not seen.pause.wakeable:
        return blamed(Reason.NO_ACTIVATOR, why or Reason.NO_ACTIVATOR.meaning)
    reason = Reason.IN_USE if seen.pause.in_use else Reason.AWAKE
    return no(reason, why or reason.meaning)


def _reason_of_before(old: Mapping[str, Any]) -> str:
    told = {item["type"]: item["reason"] for item in old.get("conditions") or ()}
    return str(told.get(conditions.PAUSED, ""))
