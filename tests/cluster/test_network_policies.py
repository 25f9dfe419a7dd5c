"""The NetworkPolicy of a proxy, enforced: who comes in, and where the proxy gets to.

Each test holds open and closed ways side by side, so that nothing counts as closed that does
not answer at all. A new pod is open for up to a second until the cluster knows its rules.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from kube.client import Cluster

from sluice_proxy.config import ADMIN_PORT, CLIENT_PORT
from sluice_testing import shop
from sluice_testing.kubernetes import Manifest, apply, eventually, get, listed
from sluice_testing.pods import LISTENING, Way, passer_by
from sluice_testing.shop import Namespace

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

LABELS = {"tier": "functions"}
MONITORING = "monitoring"
OTHER_PORT = 9999


@dataclass(frozen=True)
class Town:
    """A DatabaseProxy `orders` of two pods in `home`, another namespace, and the server's.

    At home and abroad there is a pod `plain`, and one `function` with LABELS.
    """

    cluster: Cluster
    home: Namespace
    abroad: str

    @property
    def orders(self) -> str:
        return f"orders.{self.home.name}.svc"

    def allow(self, *peers: Manifest) -> None:
        self.home.apply(self.home.proxy(replicas=2, network__allowedClients=list(peers)))

    def from_home(self, pod: str, host: str, port: int = CLIENT_PORT) -> Way:
        return Way(self.home.name, pod, host, port)

    def from_abroad(self, pod: str, host: str, port: int = CLIENT_PORT) -> Way:
        return Way(self.abroad, pod, host, port)

    def address(self, namespace: str, pod: str) -> str:
        found = get(self.cluster, "pod", pod, namespace)
        assert found is not None
        return str(found["status"]["podIP"])

    def proxies(self) -> dict[str, str]:
        """Addresses of the proxy's pods, by their names."""
        pods = self.home.pods().values()
        return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods}

    def until(self, opened: Sequence[Way], closed: Sequence[Way], seconds: float = 60.0) -> None:
        """Returns once all these ways are so at the same time."""
        wanted = {**dict.fromkeys(opened, True), **dict.fromkeys(closed, False)}
        wrong: dict[Way, bool] = {}

        def look() -> bool:
            found = {way: way.is_open(self.cluster) for way in wanted}
            wrong.clear()
            wrong.update({way: found[way] for way in wanted if found[way] != wanted[way]})
            return not wrong

        try:
            eventually(look, "ways open and closed as they should be", seconds)
        except AssertionError as error:
            lines = [f"{way}: {'open' if found else 'closed'}" for way, found in wrong.items()]
            raise AssertionError("\n".join([str(error), *lines])) from None


@pytest.fixture(scope="module")
def town(operator: Cluster) -> Iterator[Town]:
    with (
        shop.database(operator) as database,
        shop.namespace(operator, database) as home,
        shop.namespace(operator, database) as abroad,
    ):
        home.apply(home.proxy(replicas=2))
        _listen_beside(operator, database.split(".")[1])
        for place in (home, abroad):
            pods = passer_by("plain", place.name), passer_by("function", place.name, LABELS)
            place.apply(*pods)
        for place in (home, abroad):
            place.kubectl("wait", "--for=condition=Ready", "pod/plain", "pod/function")
        home.until("Progressing", "False", "Settled")
        yield Town(operator, home, abroad.name)


def _listen_beside(cluster: Cluster, namespace: str) -> None:
    """Something at OTHER_PORT in the server's own pod."""
    (pod,) = listed(cluster, "pods", namespace, "app=postgres")
    image = ("--image=sluice/clients:dev", "--image-pull-policy=IfNotPresent")
    listen = ("python3", "-m", "http.server", "-d", "/tmp", str(OTHER_PORT))  # noqa: S108
    name = f"pod/{pod['metadata']['name']}"
    cluster.kubectl("-n", namespace, "debug", name, "--profile=general", *image, "--", *listen)


@pytest.fixture
def scraper(town: Town) -> Iterator[str]:
    """A pod in the namespace that monitors; its name."""
    cluster, name = town.cluster, "scraper"
    found = cluster.kubectl("get", "namespace", MONITORING, "--ignore-not-found")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MONITORING}}
    made = [] if found else [namespace]
    apply(cluster, *made, passer_by(name, MONITORING))
    try:
        cluster.kubectl("-n", MONITORING, "wait", "--for=condition=Ready", f"pod/{name}")
        yield name
    finally:
        what = ("namespace", MONITORING) if made else ("-n", MONITORING, "pod", name)
        cluster.kubectl("delete", *what)


def test_without_a_word_the_namespace_comes_in(town: Town) -> None:
    town.allow()
    town.until(
        opened=[
            town.from_home("plain", town.orders),
            town.from_home("function", town.orders),
            town.from_abroad("plain", town.home.database),
            town.from_abroad("function", town.home.database),
        ],
        closed=[
            town.from_abroad("plain", town.orders),
            town.from_abroad("function", town.orders),
        ],
    )


def test_chosen_pods_of_the_namespace_come_in(town: Town) -> None:
    town.allow({"podSelector": {"matchLabels": LABELS}})
    proxies = town.proxies().values()
    town.until(
        opened=[
            town.from_home("function", town.orders),
            *(town.from_home("function", proxy) for proxy in proxies),
            town.from_home("plain", town.home.database),
        ],
        closed=[
            town.from_home("plain", town.orders),
            *(town.from_home("plain", proxy) for proxy in proxies),
            town.from_abroad("function", town.orders),
        ],
    )


def test_chosen_pods_of_a_chosen_namespace_come_in(town: Town) -> None:
    by_name = {"matchLabels": {"kubernetes.io/metadata.name": town.abroad}}
    town.allow({"namespaceSelector": by_name, "podSelector": {"matchLabels": LABELS}})
    town.until(
        opened=[town.from_abroad("function", town.orders)],
        closed=[
            town.from_abroad("plain", town.orders),
            town.from_home("function", town.orders),
            town.from_home("plain", town.orders),
        ],
    )


def test_a_range_of_addresses_comes_in_without_its_holes(town: Town) -> None:
    hole = town.address(town.abroad, "plain")
    block = {"cidr": str(ipaddress.ip_network(f"{hole}/16", strict=False))}
    town.allow({"ipBlock": {**block, "except": [f"{hole}/32"]}})
    town.until(
        opened=[town.from_abroad("function", town.orders), town.from_home("plain", town.orders)],
        closed=[town.from_abroad("plain", town.orders)],
    )
    one = town.address(town.home.name, "function")
    town.allow({"ipBlock": {"cidr": f"{one}/32"}})
    town.until(
        opened=[town.from_home("function", town.orders)],
        closed=[town.from_abroad("function", town.orders), town.from_home("plain", town.orders)],
    )


def test_the_admin_port_is_open_to_monitoring_alone(town: Town, scraper: str) -> None:
    """And to the operator: without it no proxy would be Ready."""
    town.allow()
    for proxy in town.proxies().values():
        town.until(
            opened=[
                Way(MONITORING, scraper, proxy, ADMIN_PORT),
                town.from_home("plain", proxy, CLIENT_PORT),
            ],
            closed=[
                Way(MONITORING, scraper, proxy, CLIENT_PORT),
                town.from_home("plain", proxy, ADMIN_PORT),
                town.from_abroad("plain", proxy, ADMIN_PORT),
            ],
            # The operator may be on its way to other monitoring namespaces and back.
            seconds=180,
        )
    town.home.until_ready()


def test_a_proxy_reaches_its_server_and_nothing_else(town: Town) -> None:
    town.allow()
    server = town.address(town.home.database.split(".")[1], _server_pod(town))
    decoy = town.address(town.abroad, "plain")
    elsewhere = [
        (decoy, LISTENING),
        (server, OTHER_PORT),
        ("kubernetes.default.svc", 443),
        ("kube-dns.kube-system.svc", 9153),
    ]
    allowed = [
        (town.home.database, CLIENT_PORT),
        (server, CLIENT_PORT),
        ("kube-dns.kube-system.svc", 53),
    ]
    proxy = "deployment/orders-proxy"
    town.until(
        opened=[
            *(town.from_home(proxy, *place) for place in allowed),
            *(town.from_home("plain", *place) for place in elsewhere),
        ],
        closed=[town.from_home(proxy, *place) for place in elsewhere],
    )


def _server_pod(town: Town) -> str:
    (pod,) = listed(town.cluster, "pods", town.home.database.split(".")[1], "app=postgres")
    return str(pod["metadata"]["name"])


def test_the_pods_of_a_proxy_reach_each_other_as_clients(town: Town) -> None:
    """As a cancel request does, whoever the allowed clients are."""
    town.allow({"podSelector": {"matchLabels": LABELS}})
    (one, first), (other, second) = town.proxies().items()
    town.until(
        opened=[town.from_home(one, second), town.from_home(other, first)],
        closed=[
            town.from_home("plain", first),
            town.from_home("plain", second),
            town.from_home(one, second, ADMIN_PORT),
        ],
    )
