"""Process ids of cancel keys: whose they are can be told from them alone."""

import hashlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.session import pids

TAGS = st.integers(0, 2**11 - 1)


@given(TAGS)
def test_a_pid_is_positive_and_knows_its_pod(tag: int) -> None:
    """Pitfalls 36 and 38: the top bit is zero, the next eleven are the pod."""
    pid = pids.new(tag)
    assert 0 < pid < 2**31
    assert pids.tag_of(pid) == tag


def test_pids_of_one_pod_differ() -> None:
    assert len({pids.new(5) for _ in range(100)}) > 90


@pytest.mark.parametrize(
    ("address", "family"),
    [("10.1.2.3", socket.AF_INET), ("fd00::1", socket.AF_INET6)],
)
def test_the_tag_of_an_address_is_of_its_bytes(address: str, family: int) -> None:
    digest = hashlib.sha256(socket.inet_pton(family, address)).digest()
    assert pids.tag_of_address(address) == int.from_bytes(digest[:2], "big") // 32


def test_an_address_has_one_tag_however_it_is_written() -> None:
    assert pids.tag_of_address("fd00::1") == pids.tag_of_address("FD00:0:0:0::0:1")


def test_addresses_next_to_each_other_have_different_tags() -> None:
    tags = [pids.tag_of_address(f"10.0.0.{last}") for last in range(1, 11)]
    assert len(set(tags)) == 10


@given(st.integers(0, 2**32 - 1))
def test_any_pid_has_a_tag(pid: int) -> None:
    assert 0 <= pids.tag_of(pid) < 2**12


def test_a_pod_without_an_address_has_a_tag_too() -> None:
    assert len({pids.random_tag() for _ in range(50)}) > 1
    assert all(0 <= pids.random_tag() < 2**11 for _ in range(50))


@pytest.mark.parametrize("text", ["", "pod.shop.svc", "10.0.0.256"])
def test_what_is_no_address_has_none(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        pids.tag_of_address(text)
