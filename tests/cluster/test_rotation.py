"""Passwords, CAs and certificates change while clients are at work: not one of them notices.

The clients verify the proxy (verify-full) and the proxy verifies the server (VerifyFull), so
that whatever is shown before it is trusted is an error of theirs.
"""

import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest
from cryptography import x509
from kube.client import Cluster

from sluice_operator import names
from sluice_operator.api.conditions import Reason
from sluice_proxy.config import CONFIG_KEY
from sluice_testing import fleet, pods, shop
from sluice_testing.certificates import Authority, Leaf
from sluice_testing.kubernetes import Manifest, eventually, get, login, secret
from sluice_testing.load import Load, Run, at_work
from sluice_testing.pods import PASSWORD_FILE, SERVER_CA
from sluice_testing.shop import PASSWORD, SUPERUSER_PASSWORD, Namespace, told

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

CA_SECRET = "orders-db-ca"
GIVEN = "orders-given-tls"
POKED_SECONDS = 15.0
"""The kubelet by itself reads what pods mount about once a minute: what every pod serves by
then each time, it was made to read. This tells two mechanisms apart, and is no speed."""
PSQL = ("psql", "-XAtc", "SELECT 42")

SHOWN = """
import socket, ssl, sys
context = ssl._create_unverified_context()
for host in sys.argv[1:]:
    with socket.create_connection((host, 5432), 10) as door:
        door.sendall(bytes.fromhex('0000000804d2162f'))
        assert door.recv(1) == b'S'
        with context.wrap_socket(door) as shown:
            print(shown.getpeercert(True).hex())
"""
"""The certificates that servers of PostgreSQL's protocol show, one a line."""


@dataclass(frozen=True)
class Town:
    """A DatabaseProxy of two pods, its server, and a pod `clients` that trusts its CA."""

    cluster: Cluster
    namespace: Namespace

    def proxy(self, **changes: object) -> Manifest:
        verified = {"mode": "VerifyFull", "caSecretRef": {"name": CA_SECRET, "key": "ca.crt"}}
        percent = {"maxConnectionsPercent": 20}
        return self.namespace.proxy(
            replicas=2, targetTLS=verified, connectionPool=percent, **changes
        )

    def at_work(self) -> AbstractContextManager[Run]:
        """Some 15 logins a second; each client's transaction takes a while."""
        load = Load(self.namespace.name, "clients", clients=30, ramp=1.0, work=2.0, hold=0.2)
        return at_work(self.cluster, load)

    def on_server(self, statement: str) -> str:
        return shop.sql(self.cluster, self.namespace.database.split(".")[1], statement)

    def in_clients(self, *command: str, **variables: str) -> str:
        settings = [f"{name}={value}" for name, value in variables.items()]
        return self.namespace.kubectl("exec", "clients", "--", "env", *settings, *command)

    def addresses(self) -> list[str]:
        return [pod["status"]["podIP"] for pod in self.namespace.pods().values()]

    def certificates(self) -> list[x509.Certificate]:
        """What the proxy's pods show."""
        lines = self.in_clients("python3", "-c", SHOWN, *self.addresses()).split()
        return [x509.load_der_x509_certificate(bytes.fromhex(line)) for line in lines]

    def serials(self) -> set[int]:
        return {certificate.serial_number for certificate in self.certificates()}

    def until_known(self) -> None:
        """Returns once the clients have the CAs that the proxy publishes."""

        def look() -> bool:
            return self.in_clients("cat", "/ca/ca.crt") == self.published()

        eventually(look, "the clients know the CAs")

    def published(self) -> str:
        """The PEM bundle that clients are told to verify the proxy with."""
        return self._ca("orders-proxy-ca")

    def trusted(self) -> str:
        """The PEM bundle that the proxy is told to verify the server with."""
        return self._ca(CA_SECRET)

    def _ca(self, name: str) -> str:
        found = self.namespace.get("secret", name)
        assert found is not None
        return b64decode(found["data"]["ca.crt"]).decode()

    def trust(self, pem: str) -> float:
        """The proxy verifies its server by these CAs from now on; how many seconds that took."""
        before, begin = fleet.served(self.namespace), time.monotonic()
        self.namespace.apply(secret(CA_SECRET, self.namespace.name, {"ca.crt": pem}))
        fleet.until_served(self.namespace, before)
        return time.monotonic() - begin

    def show(self, leaf: Leaf) -> None:
        """The server shows this certificate to whoever connects from now on."""
        where = ("-n", self.namespace.database.split(".")[1], "exec", "-i", "deployment/postgres")
        for name, text in (("crt", leaf.chain), ("key", leaf.private_key)):
            write = ("sh", "-c", f'cat >"$PGDATA/server.{name}"')
            self.cluster.kubectl(*where, "--", *write, input=text)
        self.on_server("SELECT pg_reload_conf()")

    def log_in_anew(self) -> None:
        """Each pod of the proxy logs in at the server, in a database that nobody else uses."""
        old = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'template1'"
        self.on_server(old)
        for address in self.addresses():
            where = {"PGHOST": address, "PGSSLMODE": "require", "PGDATABASE": "template1"}
            password = self.in_clients("cat", PASSWORD_FILE)
            assert self.in_clients(*PSQL, PGPASSWORD=password, **where) == "42\n"


@pytest.fixture(scope="module")
def built(operator: Cluster) -> Iterator[Town]:
    """With a server of its own, whose certificates are nobody else's affair."""
    with shop.database(operator) as host, shop.namespace(operator, host) as namespace:
        uri = f"postgresql://postgres:{SUPERUSER_PASSWORD}@{host}/postgres?sslmode=disable"
        ca = get(operator, "secret", SERVER_CA, host.split(".")[1])
        assert ca is not None
        town = Town(operator, namespace)
        namespace.apply(
            secret("superuser", namespace.name, {"SERVER_URI": uri}),
            {**secret(CA_SECRET, namespace.name, {}), "data": ca["data"]},
            town.proxy(),
        )
        status = namespace.until_ready()["status"]
        where = ("clients", namespace.name, status["endpoint"], status["caSecretName"])
        pods.start(operator, pods.Clients(*where, "orders-app", "superuser"))
        yield town


@pytest.fixture
def town(built: Town) -> Town:
    """As it was built, but for what may be rotated."""
    built.namespace.apply(built.proxy())
    built.namespace.until("Progressing", "False", "Settled")
    built.until_known()
    return built


@pytest.fixture(autouse=True)
def nothing_restarts(town: Town) -> Iterator[None]:
    before = fleet.restarts(town.namespace)
    yield
    assert fleet.restarts(town.namespace) == before


def test_a_changed_secret_is_served_within_seconds(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """From `kubectl apply` until both pods tell that they serve what the status names."""
    taken = []
    with town.at_work() as run:
        for number in range(3):
            password = f"{PASSWORD}, {number}"
            town.on_server(f"ALTER ROLE app PASSWORD '{password}'")
            begin = time.monotonic()
            town.namespace.apply(login("orders-app", town.namespace.name, "app", password))
            eventually(lambda: is_served(town, password), "the new password")  # noqa: B023
            taken.append(time.monotonic() - begin)
            tell_clients(town, password)
            # Until nobody is on his way in with the password of before.
            time.sleep(1)
    report(capsys, "a changed Secret", taken)
    assert run.errors() == {}
    assert max(taken) <= POKED_SECONDS
    assert {session.password for session in run.sessions} == {0, 1, 2, 3}


def report(capsys: pytest.CaptureFixture[str], what: str, taken: list[float]) -> None:
    """Prints how long it took each time; in seconds."""
    with capsys.disabled():
        shown = ", ".join(f"{seconds:.1f} s" for seconds in taken)
        print(f"\n  {what} is served by all pods after {shown} (aim: 5 s)")


def is_served(town: Town, password: str) -> bool:
    """Whether the document has it, and all pods serve that one."""
    document = town.namespace.get("secret", "orders-proxy-config") or {}
    written = password in b64decode(document["data"][CONFIG_KEY]).decode()
    named: str = document["metadata"]["annotations"][names.CONFIG_HASH]
    return written and fleet.served(town.namespace) == named


def tell_clients(town: Town, password: str) -> None:
    write_whole = f"cat > {PASSWORD_FILE}.new && mv {PASSWORD_FILE}.new {PASSWORD_FILE}"
    town.namespace.kubectl("exec", "-i", "clients", "--", "sh", "-c", write_whole, input=password)


def test_the_server_moves_to_another_ca(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    """Both are trusted, then the server shows the new one, then that alone is trusted."""
    old, new = town.trusted(), Authority("the next CA of the database")
    ready = town.namespace.condition("Ready")
    with town.at_work() as run:
        taken = [town.trust(old + new.pem)]
        town.log_in_anew()
        town.show(new.issue(town.namespace.database))
        town.log_in_anew()
        taken.append(town.trust(new.pem))
        town.log_in_anew()
    report(capsys, "a changed CA", taken)
    assert run.errors() == {}
    assert max(taken) <= POKED_SECONDS
    # Its time is of the last transition: there was none.
    assert town.namespace.condition("Ready") == ready


def test_a_wrong_ca_is_told_and_heals(town: Town) -> None:
    right, wrong = town.trusted(), Authority("of somebody else")
    town.trust(wrong.pem)
    sentence = told(town.namespace, "TargetsAvailable", Reason.CERTIFICATE_INVALID, "issuer")
    assert sentence.startswith("spec.targetTLS: ")
    town.trust(right)
    town.namespace.until("TargetsAvailable", "True", "Available")
    town.log_in_anew()


def test_our_own_ca_is_replaced(town: Town) -> None:
    """The new one is published before it signs anything; clients mount what is published."""
    (leaf,) = set(town.certificates())
    with town.at_work() as run:
        town.namespace.kubectl("delete", "secret", "orders-proxy-ca-key")
        new, old = eventually(lambda: bundle_of_two(town.published()), "two CAs are published")
        town.until_known()
        leaf.verify_directly_issued_by(old)
        assert set(town.certificates()) == {leaf}
        town.namespace.kubectl("delete", "secret", "orders-proxy-tls")
        another = eventually(lambda: one_other_than(leaf, town), "both pods show a new leaf")
        another.verify_directly_issued_by(new)
    assert run.errors() == {}


def bundle_of_two(pem: str) -> list[x509.Certificate]:
    found = x509.load_pem_x509_certificates(pem.encode())
    return found if len(found) == 2 else []


def one_other_than(leaf: x509.Certificate, town: Town) -> x509.Certificate | None:
    """What all pods show, if it is one certificate and not `leaf`."""
    shown = set(town.certificates())
    return None if len(shown) > 1 else next(iter(shown - {leaf}), None)


def test_a_certificate_by_cert_manager_is_renewed(town: Town) -> None:
    authority, namespace = Authority("an issuer of cert-manager"), town.namespace
    first, second = (authority.issue(*names_of(town)) for _ in range(2))
    namespace.apply(by_cert_manager(town, authority, first), town.proxy(tls__secretRef__name=GIVEN))
    eventually(lambda: town.published() == authority.pem, "its CA is published")
    town.until_known()
    eventually(lambda: town.serials() == {first.serial_number}, "its leaf is shown")
    with town.at_work() as run:
        namespace.apply(by_cert_manager(town, authority, second))
        eventually(lambda: town.serials() == {second.serial_number}, "the renewed one is shown")
        misfit = Leaf(first.chain, second.private_key, 0)
        namespace.apply(by_cert_manager(town, authority, misfit))
        sentence = told(namespace, "CredentialsReady", Reason.INVALID_CERTIFICATE, "is not the key")
        assert "spec.tls.secretRef" in sentence
        assert town.serials() == {second.serial_number}
        namespace.apply(by_cert_manager(town, authority, first))
        namespace.until("CredentialsReady", "True")
        eventually(lambda: town.serials() == {first.serial_number}, "what is right is shown")
    assert run.errors() == {}


def names_of(town: Town) -> tuple[str, ...]:
    return tuple(names.dns_names("orders", town.namespace.name))


def by_cert_manager(town: Town, authority: Authority, leaf: Leaf) -> Manifest:
    """As cert-manager 1.x writes it for a Certificate of a CA issuer."""
    data = {"tls.crt": leaf.chain, "tls.key": leaf.private_key, "ca.crt": authority.pem}
    made = secret(GIVEN, town.namespace.name, data, "kubernetes.io/tls")
    said = {
        "alt-names": ",".join(names_of(town)),
        "certificate-name": "orders",
        "common-name": "",
        "ip-sans": "",
        "issuer-group": "cert-manager.io",
        "issuer-kind": "Issuer",
        "issuer-name": "shop",
        "uri-sans": "",
    }
    made["metadata"]["annotations"] = {f"cert-manager.io/{key}": said[key] for key in said}
    made["metadata"]["labels"] = {"controller.cert-manager.io/fao": "true"}
    return made
