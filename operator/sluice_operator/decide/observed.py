"""What was seen of the cluster, once, before anything is decided."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluice_operator import names
from sluice_operator.desired.credentials import Secrets
from sluice_operator.desired.inputs import Activator
from sluice_operator.desired.manifest import Manifest

ChildKey = tuple[str, str]
"""Kind and name of a child."""

Children = Mapping[ChildKey, Manifest]
Services = Mapping[tuple[str, str], Manifest]
"""Services that targets may mean, by namespace and name; only those that exist."""


@dataclass(frozen=True, slots=True)
class Pod:
    """What we need of a proxy's pod.

    `created` is Kubernetes' own text of the time. `running` tells whether its container
    runs: only then can it hold connections. `image` and `waiting_reason` are of the first
    container that waits for something but its turn, in the kubelet's words; `ended` says
    how a container that was started again ended before. `unschedulable` is what the
    scheduler says of a pod that it has no node for.
    """

    name: str
    ip: str
    ready: bool
    terminating: bool
    poked: str
    uid: str = ""
    created: str = ""
    phase: str = ""
    running: bool = False
    restarts: int = 0
    image: str = ""
    waiting_reason: str = ""
    waiting_message: str = ""
    ended: str = ""
    unschedulable: str = ""

    @property
    def serving(self) -> bool:
        return self.ready and not self.terminating


@dataclass(frozen=True, slots=True)
class Observed:
    """The world around one DatabaseProxy; `secrets` are those its spec refers to.

    `unreadable` are Services that a target may mean and that the operator may not read.
    `activators` are those that can stand in for its pods, at `port`. `finished` are names of
    pods that have ended, and are no more among `pods`: some may be deleted by now.
    """

    secrets: Secrets
    services: Services
    children: Children
    pods: tuple[Pod, ...]
    unreadable: frozenset[tuple[str, str]] = frozenset()
    activators: tuple[Activator, ...] = ()
    port: int = 0
    finished: frozenset[str] = frozenset()


def child_key(manifest: Mapping[str, Any]) -> ChildKey:
    return manifest["kind"], manifest["metadata"]["name"]


def secret_data(secret: Mapping[str, Any]) -> dict[str, bytes]:
    """The decoded data of a Secret; what is not base64 counts as empty."""
    return {key: _decoded(value) for key, value in (secret.get("data") or {}).items()}


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""


def pod(manifest: Mapping[str, Any]) -> Pod:
    metadata, status = manifest["metadata"], manifest.get("status", {})
    containers = _containers(status)
    waiting = next(filter(None, map(_waiting, containers)), {})
    images = _images(manifest.get("spec", {}))
    return Pod(
        name=metadata["name"],
        ip=status.get("podIP", ""),
        ready=_condition(status, "Ready").get("status") == "True",
        terminating="deletionTimestamp" in metadata,
        poked=(metadata.get("annotations") or {}).get(names.CONFIG_HASH, ""),
        uid=metadata.get("uid", ""),
        created=metadata.get("creationTimestamp") or "",
        phase=status.get("phase", ""),
        running=any("running" in (item.get("state") or {}) for item in containers),
        restarts=max((item.get("restartCount", 0) for item in containers), default=0),
        image=images.get(waiting.get("name", ""), ""),
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        ended=next(filter(None, map(_ended, containers)), ""),
        unschedulable=_unschedulable(_condition(status, "PodScheduled")),
    )


_ITS_TURN = ("ContainerCreating", "PodInitializing")
"""What a container waits for before anything can have gone wrong."""


def _containers(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Statuses of all containers, also of those that a webhook put in."""
    return [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]


def _images(spec: Mapping[str, Any]) -> dict[str, str]:
    """What each container shall run: its status has what it ran before, until it runs again."""
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return {container["name"]: container["image"] for container in containers}


def _waiting(container: Mapping[str, Any]) -> Mapping[str, Any]:
    """Reason and message of a container that waits for more than its turn, and its name."""
    waiting: Mapping[str, Any] = (container.get("state") or {}).get("waiting") or {}
    if not waiting.get("reason") or waiting["reason"] in _ITS_TURN:
        return {}
    return {**waiting, "name": container["name"]}


def _ended(container: Mapping[str, Any]) -> str:
    """How its last run ended: `OOMKilled, exit code 137`."""
    now, before = container.get("state") or {}, container.get("lastState") or {}
    end = now.get("terminated") or before.get("terminated") or {}
    if not end or container.get("ready") or not container.get("restartCount"):
        return ""
    return f"{end.get('reason') or 'Error'}, exit code {end.get('exitCode', 0)}"


def _unschedulable(scheduled: Mapping[str, Any]) -> str:
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return ""
    return scheduled.get("message") or "no node takes it"


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = (item for item in status.get("conditions") or () if item["type"] == kind)
    return next(found, {})


def is_finished(manifest: Mapping[str, Any]) -> bool:
    """Whether a pod runs no more, and so holds no connection."""
    return manifest.get("status", {}).get("phase") in ("Succeeded", "Failed")
