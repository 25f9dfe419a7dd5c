"""Who leads: the rules of a Lease, as Kubernetes' own components keep them.

Clocks of two machines differ, so nobody compares the Lease's times with its own clock. A
candidate takes a Lease that it has not seen change for as long as the Lease says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

DURATION = 10
"""Seconds without a renewal after which another may lead."""

RENEW_EVERY = 2.0
"""Seconds between two renewals."""

GIVE_UP_AFTER = 7.0
"""Seconds without a renewal after which a leader stops by itself: before another may begin."""

LOOK_EVERY = 0.5
"""Seconds between two looks of a candidate: a clean stop is noticed within one of them."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A Lease as a candidate saw it last, and since when (seconds, monotonic) it is so."""

    version: str = ""
    since: float = 0.0


def sighted(lease: Mapping[str, Any], before: Sighting, now: float) -> Sighting:
    """`before`, or a new sighting if the Lease has changed."""
    version = str(lease["metadata"].get("resourceVersion", ""))
    return before if version == before.version else Sighting(version, now)


def may_take(lease: Mapping[str, Any], seen: Sighting, identity: str, now: float) -> bool:
    """Whether the Lease is free, ours, or has not been renewed for its duration."""
    spec = lease.get("spec") or {}
    holder = spec.get("holderIdentity") or ""
    duration = spec.get("leaseDurationSeconds") or DURATION
    return holder in ("", identity) or now - seen.since >= duration


def taken(lease: Mapping[str, Any], identity: str, now: float) -> dict[str, Any]:
    """The Lease as held by `identity`; `now` is seconds since the epoch."""
    spec = lease.get("spec") or {}
    stamp = _micro_time(now)
    is_ours = spec.get("holderIdentity") == identity
    return {
        **lease,
        "spec": {
            "holderIdentity": identity,
            "leaseDurationSeconds": DURATION,
            "acquireTime": spec.get("acquireTime", stamp) if is_ours else stamp,
            "renewTime": stamp,
            "leaseTransitions": (spec.get("leaseTransitions") or 0) + (not is_ours),
        },
    }


def released(lease: Mapping[str, Any], now: float) -> dict[str, Any]:
    """The Lease held by nobody: the next look of a candidate takes it."""
    return {**lease, "spec": {**lease["spec"], "holderIdentity": "", "renewTime": _micro_time(now)}}


def fresh(name: str, namespace: str) -> dict[str, Any]:
    """A Lease that nobody has held yet."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": namespace},
    }


def _micro_time(now: float) -> str:
    """Kubernetes' MicroTime: RFC 3339 with six digits."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
