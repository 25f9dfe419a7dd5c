"""Events as objects of the cluster: one object counts what happens again and again."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluice_operator import names
from sluice_operator.decide.events import Event
from sluice_operator.decide.status import timestamp
from sluice_operator.desired.manifest import Manifest

AGGREGATE_SECONDS = 600.0
"""What has the same reason within so long is counted on one object."""

COMPONENT = "sluice-operator"
MESSAGE_MAX = 1024


@dataclass(frozen=True, slots=True)
class About:
    """The DatabaseProxy that an Event is about."""

    namespace: str
    name: str
    uid: str


def event_name(event: Event, about: About) -> str:
    """The same for what is the same, so that a new leader finds what the last one wrote."""
    text = "\0".join((about.uid, event.reason.value, event.message))
    return f"{about.name}.{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def event_object(name: str, event: Event, about: About, now: float) -> Manifest:
    """The first of its kind; `now` is seconds since the epoch."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": about.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": about.namespace,
            "name": about.name,
            "uid": about.uid,
        },
        "type": event.type,
        "reason": event.reason.value,
        "message": _fitting(event.message),
        "action": event.action,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": timestamp(now),
        "lastTimestamp": timestamp(now),
        "count": 1,
    }


def repeated(live: Mapping[str, Any], event: Event, now: float) -> dict[str, Any]:
    """The merge patch that counts `event` on the Event object `live`: the newest message stays."""
    return {
        "count": int(live.get("count") or 1) + 1,
        "lastTimestamp": timestamp(now),
        "message": _fitting(event.message),
    }


class RecentEvents:
    """Which object counts a reason: the one that was used for it within the last minutes."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, str], tuple[str, float]] = {}

    def name(self, event: Event, about: About, now: float) -> str:
        """The Event object to write: to be made if there is none, else to be `repeated`."""
        self._used = {
            key: (name, last)
            for key, (name, last) in self._used.items()
            if now - last < AGGREGATE_SECONDS
        }
        key = (about.uid, event.reason.value)
        name, _ = self._used.get(key, (event_name(event, about), now))
        self._used[key] = (name, now)
        return name


def _fitting(message: str) -> str:
    return message if len(message) <= MESSAGE_MAX else f"{message[: MESSAGE_MAX - 1]}…"
