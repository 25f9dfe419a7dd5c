"""What is worth an Event: transitions of the status, and changes that no condition shows.

Messages are those of conditions, or name objects and roles: no Secret's content is in one.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

from sluice_operator.api import conditions
from sluice_operator.api.conditions import FALSE, TRUE, Reason, reason_of
from sluice_operator.decide.overcommit import listed
from sluice_operator.decide.sleep import ASLEEP, RESTING
from sluice_operator.decide.wake import Wake
from sluice_operator.desired.inputs import Inputs
from sluice_proxy.config import ProxyConfig

Action = Literal[
    "Reconcile", "Rotate", "Renew", "Scale", "Suspend", "Resume", "Pause", "Wake"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `action` is what the operator did about it or with it."""

    type: Literal["Normal", "Warning"]
    reason: Reason
    message: str
    action: Action = "Reconcile"


@dataclass(frozen=True, slots=True)
class Changes:
    """What was just applied and is no condition's affair.

    `rotated` are roles with a new password, `renewed` tells that clients are shown another
    certificate. `failing` are the conditions that were False when last known. The others are set
    by whoever scales: `scaled` is how many pods there were to be before and now, if neither is a
    pause; `paused` after how many seconds without a client all were told to go, `woken` what an
    activator says of the client that brought them back.
    """

    rotated: tuple[str, ...] = ()
    renewed: bool = False
    failing: frozenset[str] = frozenset()
    scaled: tuple[int, int] | None = None
    paused: int | None = None
    woken: Wake | None = None


def changes(previous: ProxyConfig | None, inputs: Inputs) -> Changes:
    """From the document that served before to what `inputs` make of it."""
    if previous is None:
        return Changes()
    old, new = previous.certificate, inputs.config.certificate
    return Changes(
        rotated=_rotated(previous, inputs.config),
        renewed=old is not None and new is not None and old.chain != new.chain,
    )


def events(
    old: Mapping[str, Any], new: Mapping[str, Any], changed: Changes | None = None
) -> tuple[Event, ...]:
    """What happened between two statuses, each reason once; nothing if nothing did."""
    before, after = _by_type(old), _by_type(new)
    changed = changed or Changes()
    found = [
        *_suspension(before, after),
        *_pausing(before, after, changed),
        *_changes(changed),
        *_parts(before, after, failing(changed.failing, old)),
        *_trouble(before, after),
        *_readiness(before, after),
    ]
    return tuple({event.reason: event for event in reversed(found)}.values())[::-1]


_Conditions = Mapping[str, Mapping[str, Any]]

_PARTS = (conditions.ACCEPTED, conditions.CREDENTIALS_READY, conditions.TARGETS_AVAILABLE)
_QUIET = frozenset((Reason.SETTLED, Reason.SUSPENDED, Reason.BLOCKED))
"""Why Progressing may be False without any trouble of its own."""


def _by_type(status: Mapping[str, Any]) -> _Conditions:
    return {item["type"]: item for item in status.get("conditions") or ()}


def _is(condition: Mapping[str, Any] | None, status: str) -> bool:
    return condition is not None and condition["status"] == status


def _told(condition: Mapping[str, Any]) -> Event:
    """The condition as it is now."""
    reason = reason_of(condition["reason"])
    return Event("Warning", reason, condition["message"])


def _back(condition: Mapping[str, Any]) -> Event:
    reason = reason_of(condition["reason"])
    return Event("Normal", reason, condition["message"] or reason.meaning)


def failing(known: AbstractSet[str], status: Mapping[str, Any]) -> frozenset[str]:
    """What of `known` still fails in `status`, and what else does.

    A condition that is Unknown now and then, as while a changed password is tried, is between
    two that are known: what failed before it is over only when it is True.
    """
    told = _by_type(status)
    return frozenset(
        kind
        for kind in _PARTS
        if _is(told.get(kind), FALSE) or (kind in known and not _is(told.get(kind), TRUE))
    )


def _parts(before: _Conditions, after: _Conditions, failed: AbstractSet[str]) -> Iterable[Event]:
    for kind in _PARTS:
        old, new = before.get(kind), after[kind]
        if _is(new, FALSE) and not _same(old, new):
            yield _told(new)
        elif _is(new, TRUE) and kind in failed:
            yield _back(new)
    shared = after[conditions.OVERCOMMITTED]
    if _is(shared, TRUE) and not _is(before.get(conditions.OVERCOMMITTED), TRUE):
        yield _told(shared)


def _same(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
    return old is not None and (old["status"], old["reason"]) == (new["status"], new["reason"])


def _trouble(before: _Conditions, after: _Conditions) -> Iterable[Event]:
    """Pods that cannot come up, a document that they refuse."""
    old, new = before.get(conditions.PROGRESSING), after[conditions.PROGRESSING]
    if _is(new, FALSE) and new["reason"] not in _QUIET and not _same(old, new):
        yield _told(new)


def _readiness(before: _Conditions, after: _Conditions) -> Iterable[Event]:
    old, new = before.get(conditions.READY), after[conditions.READY]
    if new["reason"] == Reason.SERVING and not _is(old, TRUE):
        yield _back(new)
    elif _is(old, TRUE) and not _is(new, TRUE):
        yield _told(new)


def _suspension(before: _Conditions, after: _Conditions) -> Iterable[Event]:
    old, new = before.get(conditions.PROGRESSING), after[conditions.PROGRESSING]
    was = old is not None and old["reason"] == Reason.SUSPENDED
    if new["reason"] == Reason.SUSPENDED and not was:
        yield Event("Normal", Reason.SUSPENDED, new["message"], "Suspend")
    if was and new["reason"] != Reason.SUSPENDED:
        yield Event("Normal", Reason.RESUMED, "spec.suspend is false again", "Resume")


def woke(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a proxy that was paused, or about to be, serves again in the status `new`."""
    return _has_woken(_by_type(old), _by_type(new))


def _has_woken(before: _Conditions, after: _Conditions) -> bool:
    return _rest(before) in RESTING and _rest(after) not in RESTING


def _rest(told: _Conditions) -> str:
    """Why it is paused or not; nothing of one that was never looked at."""
    return str(told.get(conditions.PAUSED, {}).get("reason", ""))


def _pausing(before: _Conditions, after: _Conditions, changed: Changes) -> Iterable[Event]:
    """Told when it is decided: who is woken while the last pods end has slept as well."""
    if _rest(after) in ASLEEP and _rest(before) not in ASLEEP:
        idle = "" if changed.paused is None else f"no client for {changed.paused} s; "
        yield Event("Normal", Reason.PAUSED, f"{idle}the next connection wakes it", "Pause")
    if _has_woken(before, after):
        told = changed.woken
        why = after[conditions.PAUSED]["message"]
        woken = f"no activator tells of it: {why}" if told is None else told.sentence
        yield Event("Normal", Reason.WOKEN, woken, "Wake")


def _changes(changed: Changes) -> Iterable[Event]:
    if changed.rotated:
        what = f"new password of {listed(changed.rotated)}, taken from spec.auth"
        yield Event("Normal", Reason.CREDENTIALS_ROTATED, what, "Rotate")
    if changed.renewed:
        what = Reason.CERTIFICATE_RENEWED.meaning
        yield Event("Normal", Reason.CERTIFICATE_RENEWED, what, "Renew")
    if changed.scaled is not None:
        before, now = changed.scaled
        yield Event("Normal", Reason.SCALED, f"from {before} to {now} pods", "Scale")


def _rotated(previous: ProxyConfig, config: ProxyConfig) -> tuple[str, ...]:
    before = {user.name: user.password for user in previous.users}
    return tuple(
        user.name
        for user in config.users
        if user.name in before and user.password != before[user.name]
    )
