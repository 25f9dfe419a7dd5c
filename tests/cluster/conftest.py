"""The real cluster as a fixture; the same code as `make cluster` and `make images`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from kube import kindcluster, places
from kube.client import Cluster
from kube.progress import Trouble


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster of `make cluster`, brought up if it is not; it stays up after the tests."""
    try:
        with places.alone():
            kindcluster.up()
    except Trouble as trouble:
        pytest.fail(f"no cluster: {trouble}", pytrace=False)
    return Cluster(places.KUBECONFIG)
