"""Pods that stand around a DatabaseProxy: a PostgreSQL server, and clients of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluice_testing.certificates import Authority
from sluice_testing.kubernetes import Kubectl, Manifest, apply, listed, secret

SUPERUSER_SECRET = "postgres-superuser"
SERVER_CA = "postgres-ca"
PASSWORD_FILE = "/login/password"
LISTENING = 5432
"""The port at which a `passer_by` listens itself."""

_REACH = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()
except OSError:
    print("closed")
else:
    print("open")
"""


def server_host(namespace: str) -> str:
    return f"postgres.{namespace}.svc"


def postgres(namespace: str, superuser_password: str) -> tuple[Manifest, ...]:
    """A server with TLS by a CA of its own, max_connections = 100, its Service and Secrets."""
    authority = Authority("CA of the database")
    leaf = authority.issue(server_host(namespace))
    certificate = {"tls.crt": leaf.chain, "tls.key": leaf.private_key}
    service = {"selector": {"app": "postgres"}, "ports": [{"port": 5432, "targetPort": "server"}]}
    return (
        secret(SERVER_CA, namespace, {"ca.crt": authority.pem}),
        secret("postgres-tls", namespace, certificate, "kubernetes.io/tls"),
        secret(SUPERUSER_SECRET, namespace, {"password": superuser_password}),
        {**_header("v1", "Service", "postgres", namespace), "spec": service},
        _deployment(namespace),
    )


def _deployment(namespace: str) -> Manifest:
    container = {
        "name": "postgres",
        "image": "sluice/postgres:dev",
        "imagePullPolicy": "IfNotPresent",
        "env": [_from_secret("POSTGRES_PASSWORD", SUPERUSER_SECRET, "password")],
        "ports": [{"name": "server", "containerPort": 5432}],
        "readinessProbe": {
            "exec": {"command": ["pg_isready", "-h", "127.0.0.1"]},
            "periodSeconds": 1,
            # A crowd of clients may keep the machine busy.
            "timeoutSeconds": 10,
        },
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
    }
    pod = {
        "containers": [container],
        "volumes": [{"name": "tls", "secret": {"secretName": "postgres-tls"}}],
    }
    labels = {"app": "postgres"}
    return {
        **_header("apps/v1", "Deployment", "postgres", namespace),
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


@dataclass(frozen=True)
class Clients:
    """A pod of client programs that log in at `host`, whose certificate `ca_secret` verifies.

    `login_secret` has the key `password`, which the pod gets once, as `PASSWORD_FILE`: like a
    function, it has to be told when there is another one. `variables_secret` has further
    variables of the environment.
    """

    name: str
    namespace: str
    host: str
    ca_secret: str
    login_secret: str
    variables_secret: str
    database: str = "postgres"

    def manifest(self) -> Manifest:
        """It waits for orders by `kubectl exec`, and holds to the strictest Pod Security."""
        pod = {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [self._container()],
            "volumes": [
                {"name": "login", "emptyDir": {"medium": "Memory"}},
                _secret_volume("secret", self.login_secret),
                _secret_volume("ca", self.ca_secret),
            ],
        }
        return {**_header("v1", "Pod", self.name, self.namespace), "spec": pod}

    def _container(self) -> dict[str, Any]:
        wait = f"cp /secret/password {PASSWORD_FILE} && exec sleep infinity"
        return {
            "name": "clients",
            "image": "sluice/clients:dev",
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", wait],
            "env": [{"name": name, "value": value} for name, value in self._environment().items()],
            "envFrom": [{"secretRef": {"name": self.variables_secret}}],
            "volumeMounts": [
                {"name": "login", "mountPath": "/login"},
                {"name": "secret", "mountPath": "/secret"},
                {"name": "ca", "mountPath": "/ca"},
            ],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
        }

    def _environment(self) -> dict[str, str]:
        return {
            "PGHOST": self.host,
            "PGUSER": "app",
            "PGDATABASE": self.database,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": "/ca/ca.crt",
        }


def start(cluster: Kubectl, clients: Clients) -> None:
    """Returns when the pod runs and is let in at its host and at every proxy of its namespace.

    A new pod's address is in the rules of a NetworkPolicy only some moments after it runs.
    """
    apply(cluster, clients.manifest())
    here = ("-n", clients.namespace)
    wait = ("wait", "--for=condition=Ready", f"pod/{clients.name}", "--timeout=120s")
    cluster.kubectl(*here, *wait)
    proxies = listed(cluster, "pods", clients.namespace, "app.kubernetes.io/name=sluice-proxy")
    hosts = [clients.host, *(proxy["status"]["podIP"] for proxy in proxies)]
    knock = "for host in $0 $*; do until pg_isready -q -t 1 -h $host; do sleep 0.1; done; done"
    # No certificate has a pod's address in it; a refusal in words is an answer as well.
    plain = ("env", "PGSSLMODE=disable", "timeout", "60", "sh", "-c", knock, *hosts)
    cluster.kubectl(*here, "exec", clients.name, "--", *plain)


def passer_by(name: str, namespace: str, labels: Mapping[str, str] | None = None) -> Manifest:
    """A pod of nobody's, with psql and Python; at `LISTENING` it takes whoever connects."""
    container = {
        "name": "clients",
        "image": "sluice/clients:dev",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "http.server", "-d", "/tmp", str(LISTENING)],  # noqa: S108
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    manifest = {**_header("v1", "Pod", name, namespace), "spec": pod}
    return {**manifest, "metadata": {**manifest["metadata"], "labels": dict(labels or {})}}


@dataclass(frozen=True)
class Way:
    """From a pod (or `deployment/…`) of a namespace to a host and port."""

    namespace: str
    pod: str
    host: str
    port: int

    def is_open(self, cluster: Kubectl) -> bool:
        """Whether a connection is taken. Raises if it cannot be tried."""
        command = ("python3", "-c", _REACH, self.host, str(self.port))
        answer = cluster.kubectl("-n", self.namespace, "exec", self.pod, "--", *command).strip()
        assert answer in ("open", "closed"), answer
        return answer == "open"


def _header(api_version: str, kind: str, name: str, namespace: str) -> Manifest:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _from_secret(variable: str, name: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def _secret_volume(name: str, secret_name: str) -> dict[str, Any]:
    return {"name": name, "secret": {"secretName": secret_name}}
