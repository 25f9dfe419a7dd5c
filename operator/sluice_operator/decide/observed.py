"""What was seen of the cluster, once, before anything is decided."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluice_operator import names
from sluice_operator.desired.credentials import Secrets
from sluice_operator.desired.manifest import Manifest

ChildKey = tuple[str, str]
"""Kind and name of a child."""

Children = Mapping[ChildKey, Manifest]
Services = Mapping[tuple[str, str], Manifest]
"""Services that targets may mean, by namespace and name; only those that exist."""


@dataclass(frozen=True, slots=True)
class Pod:
    """What we need of a proxy's pod."""

    name: str
    ip: str
    ready: bool
    terminating: bool
    poked: str

    @property
    def serving(self) -> bool:
        return self.ready and not self.terminating


@dataclass(frozen=True, slots=True)
class Observed:
    """The world around one DatabaseProxy; `secrets` are those its spec refers to."""

    secrets: Secrets
    services: Services
    children: Children
    pods: tuple[Pod, ...]


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
    conditions = status.get("conditions") or ()
    return Pod(
        name=metadata["name"],
        ip=status.get("podIP", ""),
        ready=any(item["type"] == "Ready" and item["status"] == "True" for item in conditions),
        terminating="deletionTimestamp" in metadata,
        poked=(metadata.get("annotations") or {}).get(names.CONFIG_HASH, ""),
    )


def is_finished(manifest: Mapping[str, Any]) -> bool:
    """Whether a pod runs no more, and so holds no connection."""
    return manifest.get("status", {}).get("phase") in ("Succeeded", "Failed")
