"""The demo's manifest without a cluster: `sluice run` here, in front of the same PostgreSQL."""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import yaml
from kube import gotools
from kube.client import Cluster

from sluice_testing.local import LocalProxy
from sluice_testing.postgres import free_port


def answer(cluster: Cluster, namespace: str, manifest: Path, password: str) -> str:
    """What a client gets through `sluice run`, with the password that holds now."""
    with (
        forwarded(cluster, namespace) as port,
        tempfile.TemporaryDirectory(prefix="sluice-demo-") as name,
    ):
        folder = Path(name)
        objects = [*adapted(manifest, port, password), authority(cluster, namespace)]
        file = folder / "orders.yaml"
        file.write_text("\n---\n".join(json.dumps(item) for item in objects))
        proxy = LocalProxy([file], folder)
        try:
            proxy.wait_until_guided()
            return asked(proxy, password)
        finally:
            proxy.finish()


def adapted(manifest: Path, port: int, password: str) -> Iterator[dict[str, Any]]:
    """The demo's objects; the server is at this end of a tunnel, under another name."""
    for item in yaml.safe_load_all(manifest.read_text()):
        if item["kind"] == "Secret":
            item["stringData"]["password"] = password
        else:
            item["spec"]["targets"] = [{"host": "127.0.0.1", "port": port}]
            item["spec"]["targetTLS"]["mode"] = "VerifyCA"
        yield item


def authority(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """The Secret that targetTLS.caSecretRef names, as it stands in the cluster."""
    shown = cluster.kubectl("-n", namespace, "get", "secret", "postgres-ca", "-o", "json")
    found: dict[str, Any] = json.loads(shown)
    return found


def asked(proxy: LocalProxy, password: str) -> str:
    settings = {
        "host": "localhost",
        "port": str(proxy.port),
        "user": "app",
        "password": password,
        "dbname": "shop",
        "sslmode": "verify-full",
        "sslrootcert": proxy.ca_file,
    }
    with psycopg.connect(psycopg.conninfo.make_conninfo("", **settings)) as connection:
        row = connection.execute("SELECT current_user || ' in ' || current_database()").fetchone()
    assert row is not None
    return str(row[0])


@contextlib.contextmanager
def forwarded(cluster: Cluster, namespace: str) -> Iterator[int]:
    """A port of this machine that leads to the PostgreSQL of the demo."""
    port = free_port()
    command: list[str | Path] = [
        gotools.program("kubectl"), f"--kubeconfig={cluster.kubeconfig}", "-n", namespace,
        "port-forward", "deployment/postgres", f"{port}:5432",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as tunnel:
        try:
            assert tunnel.stdout is not None
            tunnel.stdout.readline()
            yield port
        finally:
            tunnel.terminate()
