#!/usr/bin/env python3
"""From nothing to 1,000 pooled clients on a real Kubernetes; figures and a plot in build/."""

import json
import secrets
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cluster"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import figures
import local
import plot
from figures import Rotation
from kube import kindcluster, places
from kube.client import Cluster
from kube.progress import Trouble, say, stage
from kube.shell import CommandFailed
from stream import shown

from sluice_testing import chart, pods
from sluice_testing.kubernetes import Manifest, apply, get, login, secret
from sluice_testing.load import Load, Run, Step
from sluice_testing.shop import sql

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
MANIFEST = HERE / "manifest.yaml"
BUILD = REPOSITORY / "build"
NAMESPACE = "sluice-demo"
MINE = {"app.kubernetes.io/part-of": "sluice-demo"}
DATABASE = "shop"
MAX_CONNECTIONS, BUDGET = 100, 45
TOO_MANY = "sorry, too many clients already"
FIRST_PASSWORD, NEW_PASSWORD = "the first password", "the new password"

DIRECT = Load(NAMESPACE, "direct", clients=300, work=8)
POOLED = Load(NAMESPACE, "clients", clients=1000, ramp=25, seconds=90, work=25)
# Seconds after the start of the load: the server, the Secret, the clients.
ROTATION_AT = (50.0, 54.0, 58.0)


def main() -> int:
    try:
        demo()
    except Trouble as trouble:
        print(f"\nThe demo failed: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def demo() -> None:
    say("Sluice: a DatabaseProxy on a real Kubernetes")
    cluster = bring_up()
    install(cluster)
    begin_afresh(cluster)
    start_postgres(cluster)
    direct = crowd_the_server(cluster)
    proxy = make_proxy(cluster)
    sluice, rotation = crowd_the_proxy(cluster, proxy)
    document = {
        "direct": figures.summary(direct),
        "sluice": figures.summary(sluice),
        "rotation": rotation.summary(sluice),
    }
    write(document, direct, sluice, rotation)
    show(document, direct, sluice)
    judge(document, sluice)
    serve_without_a_cluster(cluster)
    say_goodbye()


def bring_up() -> Cluster:
    with places.alone():
        kindcluster.up()
    say(f"the cluster is up: KUBECONFIG={places.KUBECONFIG}")
    cluster = Cluster(places.KUBECONFIG)
    cluster.load_images()
    return cluster


def install(cluster: Cluster) -> None:
    with stage("helm install: the CRD, the operator"):
        try:
            chart.install(cluster)
        except CommandFailed as failed:
            look = f"look at: kubectl -n {chart.SYSTEM} logs {chart.OPERATOR}"
            raise Trouble(f"the operator does not come up.\n{failed}\n{look}") from failed


def begin_afresh(cluster: Cluster) -> None:
    """An empty namespace; what an earlier demo left is removed."""
    kept = get(cluster, "namespace", NAMESPACE, "")
    if kept is not None:
        if not MINE.items() <= kept["metadata"]["labels"].items():
            raise Trouble(f"namespace {NAMESPACE} exists and is not the demo's")
        with stage("what an earlier demo left: delete"):
            cluster.kubectl("delete", "namespace", NAMESPACE, "--wait", "--timeout=180s")
    metadata = {"name": NAMESPACE, "labels": MINE}
    apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


def start_postgres(cluster: Cluster) -> None:
    password = secrets.token_hex(12)
    host = pods.server_host(NAMESPACE)
    uri = f"postgresql://postgres:{password}@{host}/{DATABASE}?sslmode=disable"
    with stage(f"PostgreSQL with max_connections = {MAX_CONNECTIONS}"):
        apply(cluster, *pods.postgres(NAMESPACE, password))
        apply(cluster, secret("superuser", NAMESPACE, {"SERVER_URI": uri}))
        rolled_out(cluster, "deployment/postgres")
        sql(cluster, NAMESPACE, f"CREATE ROLE app LOGIN PASSWORD '{FIRST_PASSWORD}'")
        sql(cluster, NAMESPACE, f"CREATE DATABASE {DATABASE}")
        # The manifest brings it too; the direct clients need it before.
        apply(cluster, app_login(FIRST_PASSWORD))


def app_login(password: str) -> Manifest:
    made = login("orders-app", NAMESPACE, "app", password)
    made["stringData"]["database"] = DATABASE
    return made


def crowd_the_server(cluster: Cluster) -> Run:
    """(1) What happens without a pooler."""
    start_clients(cluster, DIRECT.pod, pods.server_host(NAMESPACE), pods.SERVER_CA)
    say(f"(1) {DIRECT.clients} clients at once, straight to PostgreSQL")
    run = shown(cluster, DIRECT)
    errors = run.errors()
    say(f"    {errors.total()} of {len(run.sessions)} failed:")
    for text, count in errors.most_common(3):
        say(f"    {count:4} x {text.rpartition('failed: ')[2]}")
    if not any(TOO_MANY in text for text in errors):
        raise Trouble(
            f"{DIRECT.clients} direct clients did not exhaust {MAX_CONNECTIONS} "
            f"connections: look at kubectl -n {NAMESPACE} logs deployment/postgres"
        )
    return run


def make_proxy(cluster: Cluster) -> dict[str, Any]:
    """(2) The manifest becomes an endpoint; returns the DatabaseProxy."""
    where = MANIFEST.relative_to(REPOSITORY)
    say(f"(2) kubectl apply -f {where}")
    with stage("    DatabaseProxy orders: wait for condition Ready"):
        cluster.kubectl("apply", "-f", str(MANIFEST))
        try:
            in_namespace(
                cluster, "wait", "--for=condition=Ready", "dbproxy/orders", "--timeout=120s"
            )
        except CommandFailed as failed:
            raise Trouble(f"orders is not Ready.\n{why_not_ready(cluster)}") from failed
    proxy = get(cluster, "databaseproxy", "orders", NAMESPACE)
    assert proxy is not None
    print(in_namespace(cluster, "get", "dbproxy"), flush=True)
    return proxy


def why_not_ready(cluster: Cluster) -> str:
    proxy = get(cluster, "databaseproxy", "orders", NAMESPACE) or {}
    conditions = proxy.get("status", {}).get("conditions", [])
    told = [
        f"  {c['type']}={c['status']} {c['reason']}: {c.get('message', '')}" for c in conditions
    ]
    look = f"look at: kubectl -n {chart.SYSTEM} logs {chart.OPERATOR}"
    return "\n".join([*(told or ["  it has no conditions: the operator has not seen it"]), look])


def crowd_the_proxy(cluster: Cluster, proxy: dict[str, Any]) -> tuple[Run, Rotation]:
    """(3) The crowd through the endpoint, and (4) a new password while it is there."""
    status = proxy["status"]
    start_clients(cluster, POOLED.pod, status["endpoint"], status["caSecretName"])
    say(
        f"(3) {POOLED.clients:,} clients at once through {status['endpoint']}, with TLS "
        "(verify-full) and SCRAM"
    )
    say("    each connects, works elsewhere, runs a transaction, disconnects; then comes the next")
    taken: list[float] = []

    def step(act: Any, words: str) -> Any:
        def take(at: float) -> None:
            say(f"(4) new password: {words}")
            act(cluster)
            taken.append(at)

        return take

    steps = (
        step(rotate_on_server, "ALTER ROLE on the server"),
        step(rotate_in_secret, "kubectl apply of the Secret"),
        step(rotate_at_clients, "the clients use it"),
    )
    run = shown(
        cluster, POOLED, [Step(at, act) for at, act in zip(ROTATION_AT, steps, strict=True)]
    )
    return run, Rotation(*taken)


def rotate_on_server(cluster: Cluster) -> None:
    sql(cluster, NAMESPACE, f"ALTER ROLE app PASSWORD '{NEW_PASSWORD}'")


def rotate_in_secret(cluster: Cluster) -> None:
    apply(cluster, app_login(NEW_PASSWORD))


def rotate_at_clients(cluster: Cluster) -> None:
    file = pods.PASSWORD_FILE
    write_whole = f"cat > {file}.new && mv {file}.new {file}"
    command = ("exec", "-i", POOLED.pod, "--", "sh", "-c", write_whole)
    in_namespace(cluster, *command, input=NEW_PASSWORD)


def start_clients(cluster: Cluster, pod: str, host: str, ca_secret: str) -> None:
    clients = pods.Clients(pod, NAMESPACE, host, ca_secret, "orders-app", "superuser", DATABASE)
    with stage(f"    pod {pod}: the clients' programs"):
        pods.start(cluster, clients)


def write(document: dict[str, Any], direct: Run, sluice: Run, rotation: Rotation) -> None:
    BUILD.mkdir(exist_ok=True)
    (BUILD / "demo.json").write_text(json.dumps(document, indent=2) + "\n")
    with stage("plot"):
        plot.draw(BUILD / "demo.png", direct, sluice, rotation, document)


def show(document: dict[str, Any], direct: Run, sluice: Run) -> None:
    sessions = (len(direct.sessions), len(sluice.sessions))
    rotation = document["rotation"]
    rate = POOLED.clients / POOLED.ramp
    print(f"\n{figures.table(document['direct'], document['sluice'], sessions)}\n")
    print(
        f"  The direct clients come all in one moment, those through Sluice {rate:.0f} a second:\n"
        "  the times are of this machine, at work on both ends, and not those of a benchmark.\n"
    )
    print(
        f"  password rotation: {rotation['errors']} errors among {rotation['clients']:,} clients "
        f"({rotation['logins_with_previous_password']:,} with the previous password, "
        f"{rotation['logins_with_new_password']:,} with the new one)\n"
    )


def judge(document: dict[str, Any], sluice: Run) -> None:
    """Trouble, if what Sluice promises was not kept."""
    look = f"look at: kubectl -n {NAMESPACE} logs deployment/orders-proxy"
    errors = sluice.errors()
    if errors:
        told = "\n".join(f"  {count} x {text}" for text, count in errors.most_common(5))
        raise Trouble(f"{errors.total()} clients failed:\n{told}\n{look}")
    if sluice.most_connected < POOLED.clients:
        most = sluice.most_connected
        raise Trouble(f"only {most:,} of {POOLED.clients:,} clients were connected at once; {look}")
    most = document["sluice"]["server_connections_max"]
    if most > BUDGET:
        raise Trouble(f"{most} server connections, where {BUDGET} are allowed; {look}")
    if not document["rotation"]["logins_with_new_password"]:
        raise Trouble(f"no client came with the new password; {look}")


def serve_without_a_cluster(cluster: Cluster) -> None:
    """(5) The same manifest, served from a file by the local mode."""
    with stage("(5) the same manifest without a cluster: sluice run -f"):
        said = local.answer(cluster, NAMESPACE, MANIFEST, NEW_PASSWORD)
    say(f"    a client of it is: {said}")


def say_goodbye() -> None:
    psql = f"sh -c 'PGPASSWORD=$(cat {pods.PASSWORD_FILE}) psql'"
    print(f"""\
Figures: build/demo.json, plot: build/demo.png. All of it still runs; look around:

  export KUBECONFIG={places.KUBECONFIG}
  kubectl -n {NAMESPACE} get dbproxy
  kubectl -n {NAMESPACE} describe dbproxy orders
  kubectl -n {NAMESPACE} exec -it {POOLED.pod} -- {psql}
  kubectl -n {NAMESPACE} port-forward deployment/orders-proxy 9127 &
  curl -s localhost:9127/state; curl -s localhost:9127/metrics

Clean up: make cluster-down
""")
    say("demo: done")


def in_namespace(cluster: Cluster, *arguments: str, input: str | None = None) -> str:
    return cluster.kubectl("-n", NAMESPACE, *arguments, input=input)


def rolled_out(cluster: Cluster, workload: str) -> None:
    try:
        in_namespace(cluster, "rollout", "status", workload, "--timeout=180s")
    except CommandFailed as failed:
        there = in_namespace(cluster, "get", "pods")
        look = f"look at: kubectl -n {NAMESPACE} logs {workload}"
        raise Trouble(f"{workload} does not come up.\n{there}{look}") from failed


if __name__ == "__main__":
    sys.exit(main())
