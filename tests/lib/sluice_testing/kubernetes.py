"""Words of the cluster tests: manifests as JSON, conditions, and patience."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Manifest = dict[str, Any]


class Kubectl(Protocol):
    """What these helpers need of the fixture `cluster`."""

    def kubectl(self, *arguments: str, input: str | None = None, timeout: float = ...) -> str: ...


def apply(cluster: Kubectl, *manifests: Manifest) -> None:
    document = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    cluster.kubectl("apply", "-f", "-", input=json.dumps(document))


def get(cluster: Kubectl, kind: str, name: str, namespace: str) -> Manifest | None:
    """The object, or None if there is none."""
    text = cluster.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
    return json.loads(text) if text.strip() else None


def listed(cluster: Kubectl, kind: str, namespace: str, labels: str = "") -> list[Manifest]:
    selector = ("-l", labels) if labels else ()
    text = cluster.kubectl("get", kind, "-n", namespace, "-o", "json", *selector)
    items: list[Manifest] = json.loads(text)["items"]
    return items


def condition(proxy: Manifest | None, kind: str) -> dict[str, Any]:
    """A condition of a DatabaseProxy, once it speaks of the present spec; else empty."""
    if proxy is None:
        return {}
    found: list[dict[str, Any]] = proxy.get("status", {}).get("conditions") or []
    generation = proxy["metadata"]["generation"]
    return next(
        (c for c in found if c["type"] == kind and c.get("observedGeneration") == generation), {}
    )


def eventually(look: Callable[[], T | None], what: str, seconds: float = 60.0) -> T:
    """The first true answer of `look`; fails with the last one after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; last seen: {answer!r}")
        time.sleep(0.3)


def secret(name: str, namespace: str, data: Mapping[str, str], kind: str = "Opaque") -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": kind,
        "stringData": dict(data),
    }


def login(name: str, namespace: str, username: str, password: str) -> Manifest:
    """A Secret of the kind that `auth` refers to."""
    data = {"username": username, "password": password}
    return secret(name, namespace, data, "kubernetes.io/basic-auth")
