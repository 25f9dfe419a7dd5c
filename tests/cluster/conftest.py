"""The real cluster as a fixture, by the same code as `make cluster`, and what tests put there."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from kube import kindcluster, places
from kube.client import Cluster
from kube.progress import Trouble

from sluice_testing import chart, shop
from sluice_testing.shop import Namespace


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster of `make cluster`, brought up if it is not; it stays up after the tests."""
    try:
        with places.alone():
            kindcluster.up()
    except Trouble as trouble:
        pytest.fail(f"no cluster: {trouble}", pytrace=False)
    return Cluster(places.KUBECONFIG)


@pytest.fixture(scope="session")
def operator(cluster: Cluster) -> Cluster:
    """The cluster with the chart installed; operator and activators are of the present sources."""
    cluster.load_images()
    chart.install(cluster)
    chart.restart_activators(cluster)
    return cluster


@pytest.fixture(scope="session")
def database(operator: Cluster) -> Iterator[str]:
    """Host of a PostgreSQL with the role `app`, in a namespace of its own."""
    with shop.database(operator) as host:
        yield host


@pytest.fixture
def namespace(operator: Cluster, database: str) -> Iterator[Namespace]:
    """A namespace with the Secret `orders-app`, under the strictest Pod Security."""
    with shop.namespace(operator, database) as made:
        yield made
