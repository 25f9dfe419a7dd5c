"""The pods of a DatabaseProxy together, and the objects that were made for it."""

import contextlib
import json
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from sluice_operator import names
from sluice_testing.api_metrics import looks
from sluice_testing.kubernetes import Manifest, eventually, listed
from sluice_testing.shop import Namespace

T = TypeVar("T")
Child = tuple[str, str]
"""Kind and name."""
Children = dict[Child, Manifest]


def restarts(namespace: Namespace) -> dict[str, int]:
    """By the uid of each of the proxy's pods: how often its container was started again."""
    return {
        uid: sum(status["restartCount"] for status in pod["status"]["containerStatuses"])
        for uid, pod in namespace.pods().items()
    }


def states(namespace: Namespace) -> dict[str, dict[str, Any]]:
    """`/state` of each of the proxy's pods, by its name."""
    found = [pod["metadata"]["name"] for pod in namespace.pods().values()]
    path = f"/api/v1/namespaces/{namespace.name}/pods"
    return {
        name: json.loads(
            namespace.cluster.kubectl("get", "--raw", f"{path}/{name}:9127/proxy/state")
        )
        for name in found
    }


def served(namespace: Namespace) -> str:
    """The configuration that every pod serves as the status wants it; empty if one does not."""
    wanted: str = (namespace.get("databaseproxy") or {})["status"].get("configHash", "")
    shown = {state["config"]["hash"] for state in states(namespace).values()}
    return wanted if shown == {wanted} else ""


def until_served(namespace: Namespace, before: str = "", seconds: float = 60.0) -> str:
    """The configuration that every pod serves, once it is another than `before`."""

    def look() -> str:
        found = served(namespace)
        return found if found != before else ""

    return eventually(look, "every pod serves the new configuration", seconds)


def until_equal(look: Callable[[], T], wanted: T) -> None:
    """Returns once `look` answers `wanted`; else fails with the difference."""
    with contextlib.suppress(AssertionError):
        eventually(lambda: look() == wanted, "what is wanted")
    assert look() == wanted


def children(namespace: Namespace, proxy: str = "orders") -> Children:
    """What there is of all that may be made for `proxy`."""
    found = listed(namespace.cluster, ",".join(names.CHILD_KINDS), namespace.name)
    there = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in found}
    return {child: there[child] for child in names.children(proxy) if child in there}


def look_again(namespace: Namespace, proxies: int = 1) -> None:
    """Makes the operator look at all who use the Secret `orders-app`; returns when it has."""
    before = looks(namespace.cluster)
    touch = f"example.com/touched={uuid.uuid4().hex}"
    namespace.kubectl("annotate", "secret", "orders-app", touch, "--overwrite")
    eventually(lambda: looks(namespace.cluster) >= before + proxies, "another look")


def versions(found: Children) -> dict[Child, str]:
    """What changes with every write to an object, whoever wrote, and whatever."""
    return {
        child: f"{manifest['metadata']['uid']} {manifest['metadata']['resourceVersion']}"
        for child, manifest in found.items()
    }
