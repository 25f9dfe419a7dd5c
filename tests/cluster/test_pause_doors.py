"""What wakes a proxy and what never does: a client's first whole message, and nothing else."""

import time
from collections.abc import Iterator

import pytest
from kube.client import Cluster

from sluice_testing import pausing
from sluice_testing.pausing import CLIENTS, Sleeper, put_to_sleep, until_serving
from sluice_testing.raw import GSS_ENCRYPTION_REQUEST, SSL_REQUEST, cancel_request, startup

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

ASLEEP_SECONDS = 5
RANGE = (10_000, 10_100)
AROUND = 50
REAL_CLIENT = startup(user="app", database="postgres")

HARMLESS = {
    "connect-and-close": b"",
    "seven bytes of an SSLRequest": SSL_REQUEST[:7],
    "half a StartupMessage": REAL_CLIENT[: len(REAL_CLIENT) // 2],
    "an HTTP GET": b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n",
    "a CancelRequest": cancel_request(bytes(8)),
    "half a ClientHello": b"\x16\x03\x01\x02\x00\x01",
    "noise": bytes(range(200, 256)),
}


@pytest.fixture(scope="module")
def asleep(operator: Cluster, database: str) -> Iterator[Sleeper]:
    with pausing.sleeper(operator, database) as sleeper:
        with sleeper.watched() as watch:
            put_to_sleep(sleeper, watch)
        yield sleeper


def assert_sleeps_on(sleeper: Sleeper) -> None:
    time.sleep(ASLEEP_SECONDS)
    assert sleeper.replicas() == 0
    with sleeper.watched() as watch:
        time.sleep(0.5)
        assert watch.there() == {}


@pytest.mark.parametrize("words", HARMLESS.values(), ids=HARMLESS)
def test_no_client_does_not_wake_it(asleep: Sleeper, words: bytes) -> None:
    """State Paused; Race 21: the CancelRequest. Nobody is answered a byte."""
    told = asleep.knock(words)
    assert told["answer"] == ""
    assert_sleeps_on(asleep)


def test_a_scan_of_the_activators_does_not_wake_it(operator: Cluster, asleep: Sleeper) -> None:
    """State Paused: whoever tries every port finds the proxy's own, and no other."""
    ways = asleep.ways()
    assert ways
    for way in ways:
        ranges = (RANGE, (way.port - AROUND, way.port + AROUND))
        for first, last in ranges:
            opened = scan(asleep, way.host, first, last)
            assert set(opened) <= {way.port}
        assert opened == [way.port]
    assert_sleeps_on(asleep)


def scan(sleeper: Sleeper, host: str, first: int, last: int) -> list[int]:
    command = ("python3", "/clients/knock.py", host, f"{first}-{last}")
    told = sleeper.namespace.kubectl("exec", CLIENTS, "--", *command)
    return [int(port) for port in told.partition("[")[2].partition("]")[0].split(",") if port]


WAKING = {
    "SSLRequest": SSL_REQUEST,
    "GSSENCRequest": GSS_ENCRYPTION_REQUEST,
    "StartupMessage": REAL_CLIENT,
}


@pytest.mark.parametrize("words", WAKING.values(), ids=WAKING)
def test_a_whole_first_message_wakes_it(asleep: Sleeper, words: bytes) -> None:
    """State Waking; Race 20: a scanner that says this cannot be told from a client."""
    with asleep.watched() as watch:
        told = asleep.knock(words, wait=10.0)
        assert told["answer"] != ""
        until_serving(watch, 1)
        put_to_sleep(asleep, watch)
