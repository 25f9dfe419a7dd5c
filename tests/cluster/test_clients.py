"""The drivers that people use, in a pod, through the endpoint of a DatabaseProxy.

Names and certificates are real here: the Service's name, the cluster's DNS, the CA that the
operator issued. What the proxy answers in detail is the integration tests' affair.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from kube.client import Cluster

from sluice_testing import fleet, pods, shop
from sluice_testing.kubernetes import eventually, login, secret
from sluice_testing.shop import PASSWORD, SUPERUSER_PASSWORD, Namespace

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

TABLE = "transactions"
BUDGET = 10
NEW_PASSWORD = "the new password of app"


@dataclass(frozen=True)
class Doorstep:
    """A pod of client programs before a ready DatabaseProxy."""

    namespace: Namespace
    endpoint: str

    def run(self, *command: str, **variables: str) -> str:
        """stdout of a command in the pod, with `variables` set."""
        given = {"PGPASSWORD": PASSWORD, "TABLE": TABLE, **variables}
        settings = [f"{name}={value}" for name, value in given.items()]
        return self.namespace.kubectl("exec", "clients", "--", "env", *settings, *command)

    def refusal(self, *command: str, **variables: str) -> str:
        """What a command that has to fail says."""
        with pytest.raises(Exception) as failed:  # noqa: PT011 - of a module that is no package
            self.run(*command, **variables)
        return str(failed.value)

    def on_server(self, statement: str) -> str:
        return shop.sql(self.namespace.cluster, self.namespace.database.split(".")[1], statement)


@pytest.fixture(scope="module")
def doorstep(operator: Cluster, database: str) -> Iterator[Doorstep]:
    with shop.namespace(operator, database) as namespace:
        uri = f"postgresql://postgres:{SUPERUSER_PASSWORD}@{database}/postgres?sslmode=disable"
        percent = {"maxConnectionsPercent": BUDGET}
        namespace.apply(
            secret("superuser", namespace.name, {"SERVER_URI": uri}),
            namespace.proxy(connectionPool=percent, auth__0__rotationGraceSeconds=30),
        )
        status = namespace.until_ready()["status"]
        endpoint = status["endpoint"]
        clients = pods.Clients(
            *("clients", namespace.name, endpoint, status["caSecretName"]),
            *("orders-app", "superuser"),
        )
        pods.start(operator, clients)
        doorstep = Doorstep(namespace, endpoint)
        doorstep.on_server(f"CREATE TABLE {TABLE} (tag text, value text)")
        doorstep.on_server(f"GRANT SELECT, INSERT ON {TABLE} TO app")
        yield doorstep
        doorstep.on_server(f"DROP TABLE {TABLE}")
        # The server is that of other tests, too.
        doorstep.on_server(f"ALTER ROLE app PASSWORD '{PASSWORD}'")


def check_transaction(doorstep: Doorstep, kind: str) -> None:
    """The client committed a row through the proxy, over TLS with verify-full."""
    answer, told, value = doorstep.run("client", kind).split()
    assert (answer, told) == ("ok", kind)
    query = f"SELECT tag FROM {TABLE} WHERE value = '{value}'"
    assert doorstep.on_server(query).split() == [kind]


def test_psql(doorstep: Doorstep) -> None:
    check_transaction(doorstep, "psql")


def test_psycopg(doorstep: Doorstep) -> None:
    check_transaction(doorstep, "psycopg")


def test_asyncpg(doorstep: Doorstep) -> None:
    check_transaction(doorstep, "asyncpg")


def test_node_postgres(doorstep: Doorstep) -> None:
    check_transaction(doorstep, "node")


def test_pgjdbc(doorstep: Doorstep) -> None:
    check_transaction(doorstep, "jdbc")


PSQL = ("psql", "-XAtc", "SELECT 1")


def test_every_name_of_the_service_is_in_the_certificate(doorstep: Doorstep) -> None:
    space = doorstep.namespace.name
    for host in ("orders", f"orders.{space}", f"{doorstep.endpoint}.cluster.local"):
        assert doorstep.run(*PSQL, PGHOST=host) == "1\n"


@pytest.mark.parametrize("kind", ["psql", "psycopg", "asyncpg", "node", "jdbc"])
def test_a_name_that_is_not_in_the_certificate_is_refused_by_the_client(
    doorstep: Doorstep, kind: str
) -> None:
    service = doorstep.namespace.get("service")
    assert service is not None
    told = doorstep.refusal("client", kind, PGHOST=service["spec"]["clusterIP"])
    # psql and psycopg; asyncpg; node; jdbc
    words = ("server certificate for", "certificate is not valid", "ALTNAME", "hostname")
    assert any(word in told for word in words), told


def test_a_wrong_password(doorstep: Doorstep) -> None:
    told = doorstep.refusal(*PSQL, PGPASSWORD="wrong")
    assert "The password that was provided for the role app is wrong." in told


def test_an_unknown_role(doorstep: Doorstep) -> None:
    told = doorstep.refusal(*PSQL, PGUSER="nobody")
    assert "The password that was provided for the role nobody is wrong." in told


def test_a_client_without_tls(doorstep: Doorstep) -> None:
    told = doorstep.refusal(*PSQL, PGSSLMODE="disable")
    assert "This RDS Proxy requires TLS connections." in told


SEND = """
import socket, sys
with socket.create_connection((sys.argv[1], 5432), 10) as door:
    door.sendall(bytes.fromhex(sys.argv[2]))
    door.shutdown(socket.SHUT_WR)
    answer = b''
    while piece := door.recv(4096):
        answer += piece
print(answer.hex())
"""


@pytest.mark.parametrize(
    ("garbage", "answers"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", (b"", b"E")),
        (b"\xff" * 64, (b"", b"E")),
        (bytes(64), (b"", b"E")),
        # The start of a TLS record: only an alert can be the answer.
        (bytes.fromhex("160301020001000001fc0303"), (b"", b"E", b"\x15")),
    ],
    ids=["HTTP", "ones", "zeros", "half a TLS hello"],
)
def test_garbage(doorstep: Doorstep, garbage: bytes, answers: tuple[bytes, ...]) -> None:
    before = fleet.restarts(doorstep.namespace)
    told = doorstep.run("python3", "-c", SEND, doorstep.endpoint, garbage.hex())
    assert bytes.fromhex(told)[:1] in answers
    assert doorstep.run(*PSQL) == "1\n"
    assert fleet.restarts(doorstep.namespace) == before


CANCEL = """
import psycopg, threading
canceled = 0
for _ in range(20):
    with psycopg.connect(autocommit=True) as connection:
        threading.Timer(0.3, connection.cancel).start()
        try:
            connection.execute('SELECT pg_sleep(20)')
        except psycopg.errors.QueryCanceled:
            canceled += 1
print(canceled)
"""


def test_a_cancel_reaches_the_pod_that_has_the_client(operator: Cluster, database: str) -> None:
    """The Service leads the request to any of two pods; twenty times it is the right query."""
    with shop.namespace(operator, database) as namespace:
        namespace.apply(namespace.proxy(replicas=2, connectionPool={"maxConnectionsPercent": 20}))
        status = namespace.until_ready()["status"]
        clients = pods.Clients(
            *("clients", namespace.name, status["endpoint"], status["caSecretName"]),
            *("orders-app", "orders-app"),
        )
        pods.start(operator, clients)
        doorstep = Doorstep(namespace, status["endpoint"])
        eventually(lambda: _ready(namespace) == 2, "both pods serve")
        assert doorstep.run("python3", "-c", CANCEL) == "20\n"


def _ready(namespace: Namespace) -> int:
    deployment = namespace.get("deployment", "orders-proxy") or {}
    return int(deployment.get("status", {}).get("readyReplicas", 0))


def test_a_new_password_under_load(doorstep: Doorstep) -> None:
    """The server, the Secret, the clients, seconds apart: nobody sees an error."""
    before = fleet.restarts(doorstep.namespace)
    with ThreadPoolExecutor(2) as background:
        load = background.submit(_run_load, doorstep)
        eventually(lambda: load.done() or _rows(doorstep) > 0, "clients are at work")
        doorstep.on_server(f"ALTER ROLE app PASSWORD '{NEW_PASSWORD}'")
        # The first client of its database: it needs a login that the server now refuses.
        waits = background.submit(doorstep.run, *PSQL, PGDATABASE="template1")
        time.sleep(3)
        assert not waits.done(), waits.result()
        doorstep.namespace.apply(login("orders-app", doorstep.namespace.name, "app", NEW_PASSWORD))
        assert waits.result() == "1\n"
        time.sleep(2)
        _tell_clients(doorstep, NEW_PASSWORD)
        told = load.result()
    sessions = [line for line in told if line["event"] == "session"]
    assert [session["error"] for session in sessions if session["error"]] == []
    assert {session["password"] for session in sessions} == {0, 1}
    samples = [line["server_connections"] for line in told if line["event"] == "sample"]
    assert 0 < max(samples) <= BUDGET
    assert fleet.restarts(doorstep.namespace) == before
    assert doorstep.run(*PSQL, PGPASSWORD=NEW_PASSWORD) == "1\n"


def _run_load(doorstep: Doorstep) -> list[dict[str, Any]]:
    words = ("--clients=60", "--ramp=2", "--seconds=16", "--work=2")
    file = f"--password-file={pods.PASSWORD_FILE}"
    return [
        json.loads(line)
        for line in doorstep.run("python3", "/clients/load.py", file, *words).splitlines()
    ]


def _rows(doorstep: Doorstep) -> int:
    exists = "SELECT count(*) FROM pg_tables WHERE tablename = 'orders'"
    if doorstep.on_server(exists).strip() == "0":
        return 0
    return int(doorstep.on_server("SELECT count(*) FROM orders"))


def _tell_clients(doorstep: Doorstep, password: str) -> None:
    file = pods.PASSWORD_FILE
    write_whole = f"cat > {file}.new && mv {file}.new {file}"
    doorstep.namespace.kubectl("exec", "-i", "clients", "--", "sh", "-c", write_whole,
                               input=password)  # fmt: skip
