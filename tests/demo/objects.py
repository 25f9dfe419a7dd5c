"""What stands around the DatabaseProxy in the cluster: the namespace, PostgreSQL, client pods."""

from typing import Any

from sluice_testing.certificates import Authority
from sluice_testing.kubernetes import Manifest, secret

NAMESPACE = "sluice-demo"
MINE = {"app.kubernetes.io/part-of": "sluice-demo"}
SERVER = f"postgres.{NAMESPACE}.svc"
DATABASE = "shop"
MAX_CONNECTIONS = 100
PASSWORD_FILE = "/login/password"


def namespace() -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": MINE},
    }


def postgres(superuser_password: str) -> tuple[Manifest, ...]:
    """A PostgreSQL with TLS by a CA of its own, the Secrets that go with it, and its Service."""
    authority = Authority("CA of the demo's database")
    leaf = authority.issue(SERVER)
    uri = f"postgresql://postgres:{superuser_password}@{SERVER}/{DATABASE}"
    superuser = {
        "password": superuser_password,
        "uri": f"{uri}?sslmode=verify-full&sslrootcert=/ca/postgres-ca/ca.crt",
    }
    certificate = {"tls.crt": leaf.chain, "tls.key": leaf.private_key}
    service = {"selector": {"app": "postgres"}, "ports": [{"port": 5432, "targetPort": "server"}]}
    return (
        secret("postgres-ca", NAMESPACE, {"ca.crt": authority.pem}),
        secret("postgres-tls", NAMESPACE, certificate, "kubernetes.io/tls"),
        secret("postgres-superuser", NAMESPACE, superuser),
        {**_header("v1", "Service", "postgres"), "spec": service},
        _postgres_deployment(),
    )


def _postgres_deployment() -> Manifest:
    container = {
        "name": "postgres",
        "image": "sluice/postgres:dev",
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "MAX_CONNECTIONS", "value": str(MAX_CONNECTIONS)},
            _from_secret("POSTGRES_PASSWORD", "postgres-superuser", "password"),
        ],
        "ports": [{"name": "server", "containerPort": 5432}],
        "readinessProbe": {
            "exec": {"command": ["pg_isready", "-h", "127.0.0.1"]},
            "periodSeconds": 2,
            # The 300 direct clients keep this machine busy.
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
        **_header("apps/v1", "Deployment", "postgres"),
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def clients(name: str, host: str, ca_secret: str) -> Manifest:
    """A pod of client programs with libpq's variables set for `host`; it waits for orders."""
    variables = {
        "PGHOST": host,
        "PGUSER": "app",
        "PGDATABASE": DATABASE,
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": f"/ca/{ca_secret}/ca.crt",
    }
    # As a function would, it gets the password once and is told when there is another one.
    wait = f"cp /secret/password {PASSWORD_FILE} && exec sleep infinity"
    container = {
        "name": "clients",
        "image": "sluice/clients:dev",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", wait],
        "env": [
            *({"name": variable, "value": value} for variable, value in variables.items()),
            _from_secret("SERVER_URI", "postgres-superuser", "uri"),
        ],
        "volumeMounts": [
            {"name": "login", "mountPath": "/login"},
            {"name": "secret", "mountPath": "/secret"},
            *({"name": ca, "mountPath": f"/ca/{ca}"} for ca in {"postgres-ca", ca_secret}),
        ],
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
        "volumes": [
            {"name": "login", "emptyDir": {"medium": "Memory"}},
            {"name": "secret", "secret": {"secretName": "orders-app"}},
            *(
                {"name": ca, "secret": {"secretName": ca, "items": [_only("ca.crt")]}}
                for ca in {"postgres-ca", ca_secret}
            ),
        ],
    }
    return {**_header("v1", "Pod", name), "spec": pod}


def _header(api_version: str, kind: str, name: str) -> Manifest:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _from_secret(variable: str, name: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def _only(key: str) -> dict[str, str]:
    return {"key": key, "path": key}
