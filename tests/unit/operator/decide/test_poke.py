"""Which pods are touched so that their kubelet looks again."""

from typing import Any

import pytest

from sluice_operator.decide.observed import Pod
from sluice_operator.decide.poke import AGAIN_SECONDS, poke
from sluice_operator.decide.state import PoolState, ProxyState

NOW = 1000.0


def pod(poked: str = "", *, ready: bool = True, terminating: bool = False) -> Pod:
    return Pod("p", "10.0.0.1", ready, terminating, poked)


def state(config_hash: str, error: str = "") -> ProxyState:
    return ProxyState(config_hash, error, (), PoolState())


def test_a_pod_with_an_old_document_is_touched_once_in_a_while() -> None:
    first = poke(pod(), state("old"), "new", NOW)
    assert first is not None
    assert poke(pod(first), state("old"), "new", NOW + 0.5) is None
    assert poke(pod(first), state("old"), "new", NOW + AGAIN_SECONDS) not in (None, first)


@pytest.mark.parametrize(
    ("it", "answer"),
    [
        (pod(), state("new")),
        (pod(), state("old", "certificate: needed by require_tls")),
        (pod(terminating=True), state("old")),
        (pod(ready=False), None),
        (pod(ready=False), state("new")),
    ],
    ids=["it has it", "it refused it", "it ends", "it starts", "it has it and waits"],
)
def test_pods_that_need_no_touch(it: Pod, answer: Any) -> None:
    assert poke(it, answer, "new", NOW) is None


def test_a_pod_that_waits_for_its_share_of_the_budget_is_touched() -> None:
    assert poke(pod(ready=False), state("old"), "new", NOW) is not None


def test_a_silent_pod_is_touched_once_per_document() -> None:
    first = poke(pod(), None, "new", NOW)
    assert first is not None
    assert poke(pod(first), None, "new", NOW + 60) is None
    assert poke(pod(first), None, "newer", NOW + 60) is not None
