"""A namespace with a DatabaseProxy in it, and the words of the tests about both."""

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sluice_operator.api.conditions import Reason
from sluice_testing import pods, specs
from sluice_testing.kubernetes import (
    Kubectl,
    Manifest,
    apply,
    condition,
    eventually,
    get,
    listed,
    login,
)

PASSWORD = "the password of app"
SUPERUSER_PASSWORD = "of-the-superuser"


@dataclass(frozen=True)
class Namespace:
    """A namespace of one test, with a PostgreSQL in another one that all tests share."""

    cluster: Kubectl
    name: str
    database: str

    def proxy(self, **changes: Any) -> Manifest:
        """A DatabaseProxy `orders` in front of the database; `changes` are of the spec."""
        changed = {f"spec.{path.replace('__', '.')}": value for path, value in changes.items()}
        base = {"metadata.namespace": self.name, "spec.targets.0.host": self.database}
        return specs.manifest({**base, "spec.replicas": 1, **changed})

    def apply(self, *manifests: Manifest) -> None:
        apply(self.cluster, *manifests)

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.name, *arguments, input=input)

    def get(self, kind: str, name: str = "orders") -> Manifest | None:
        return get(self.cluster, kind, name, self.name)

    def condition(self, kind: str) -> dict[str, Any]:
        return condition(self.get("databaseproxy"), kind)

    def until(self, kind: str, status: str, *words: str) -> dict[str, Any]:
        """The condition, once it has this status and all these words in reason and message."""

        def look() -> dict[str, Any] | None:
            found = self.condition(kind)
            told = f"{found.get('reason')} {found.get('message')}"
            fits = found.get("status") == status and all(word in told for word in words)
            return found if fits else None

        try:
            return eventually(look, f"{kind}={status} {' '.join(words)}")
        except AssertionError as error:
            raise AssertionError(
                f"{error}\n{self.kubectl('get', 'databaseproxy', '-o', 'yaml')}"
            ) from None

    def until_phase(self, phase: str) -> None:
        def look() -> bool:
            return bool(((self.get("databaseproxy") or {}).get("status") or {})["phase"] == phase)

        eventually(look, f"phase {phase}")

    def until_ready(self) -> Manifest:
        self.until("Ready", "True")
        proxy = self.get("databaseproxy")
        assert proxy is not None
        return proxy

    def pods(self) -> dict[str, Manifest]:
        """The proxy's pods by uid, without those that are ending."""
        found = listed(self.cluster, "pods", self.name, "app.kubernetes.io/instance=orders")
        return {
            pod["metadata"]["uid"]: pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
        }

    def state(self) -> dict[str, Any]:
        """`/state` of the one pod."""
        (pod,) = self.pods().values()
        path = f"/api/v1/namespaces/{self.name}/pods/{pod['metadata']['name']}:9127/proxy/state"
        answer: dict[str, Any] = json.loads(self.cluster.kubectl("get", "--raw", path))
        return answer

    def answers(self, client: str, password: str = PASSWORD) -> bool:
        """Whether `app` gets an answer through the proxy in the pod `client`."""
        where = f"host=orders user=app password='{password}' dbname=postgres sslmode=require"
        ask = ("sh", "-c", 'psql "$0" -XAtc "SELECT 42" 2>&1 || true', where)
        return self.kubectl("exec", client, "--", *ask).strip() == "42"


def told(place: Namespace, kind: str, reason: Reason, words: str) -> str:
    """The sentence of a condition that fails for `reason`: with `words`, and what to do."""
    message: str = place.until(kind, "False", reason, words, reason.remedy)["message"]
    return message


@contextlib.contextmanager
def namespace(cluster: Kubectl, database: str) -> Iterator[Namespace]:
    """A namespace with the Secret `orders-app`, under the strictest Pod Security."""
    name = f"shop-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    try:
        enforce = "pod-security.kubernetes.io/enforce=restricted"
        cluster.kubectl("label", "namespace", name, enforce)
        apply(cluster, login("orders-app", name, "app", PASSWORD))
        yield Namespace(cluster, name, database)
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


@contextlib.contextmanager
def database(cluster: Kubectl) -> Iterator[str]:
    """Host of a PostgreSQL with the role `app`, in a namespace of its own."""
    name = f"db-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    try:
        apply(cluster, *pods.postgres(name, SUPERUSER_PASSWORD))
        cluster.kubectl("-n", name, "rollout", "status", "deployment/postgres", "--timeout=120s")
        sql(cluster, name, f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'")
        yield pods.server_host(name)
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def sql(cluster: Kubectl, namespace: str, statement: str) -> str:
    """What psql prints of the statement, run as superuser in the server's own pod."""
    psql = ("psql", "-qXAth", "/var/run/postgresql", "-U", "postgres", "-c", statement)
    return cluster.kubectl("-n", namespace, "exec", "deployment/postgres", "--", *psql)
