"""Leading by a Lease, against an API server that fails when it is told to."""

import asyncio
import time
from typing import Any

import pytest

from sluice_operator.cluster import election as module
from sluice_operator.cluster.election import Election, LeaseLost
from sluice_operator.cluster.errors import ApiError, Conflict, Unavailable
from sluice_operator.decide import lease as rules


class Api:
    """One Lease in memory, with the optimistic lock of the real one."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.failure: ApiError | None = None

    @property
    def holder(self) -> str:
        assert self.lease is not None
        found: str = self.lease["spec"]["holderIdentity"]
        return found

    async def get(self, *_: str, seconds: float) -> dict[str, Any] | None:
        self._fail()
        return self.lease

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self._fail()
        if self.lease is not None:
            raise Conflict(409, "AlreadyExists", "it is there")
        return self._put(manifest, 1)

    async def replace(self, manifest: dict[str, Any], seconds: float) -> dict[str, Any]:
        self._fail()
        assert self.lease is not None
        version = self.lease["metadata"]["resourceVersion"]
        if manifest["metadata"]["resourceVersion"] != version:
            raise Conflict(409, "Conflict", "it was changed")
        return self._put(manifest, int(version) + 1)

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _put(self, manifest: dict[str, Any], version: int) -> dict[str, Any]:
        metadata = {**manifest["metadata"], "resourceVersion": str(version)}
        self.lease = {**manifest, "metadata": metadata}
        return self.lease


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(rules, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(rules, "RENEW_EVERY", 0.01)
    monkeypatch.setattr(rules, "GIVE_UP_AFTER", 0.2)
    return Api()


def candidate(api: Api, name: str) -> Election:
    return Election(api, "sluice-system", "sluice-operator", name)  # type: ignore[arg-type]


async def test_the_first_leads_and_the_second_waits_for_its_release(api: Api) -> None:
    one, two = candidate(api, "one"), candidate(api, "two")
    await one.acquire()
    waiting = asyncio.create_task(two.acquire())
    holding = asyncio.create_task(one.hold())
    await asyncio.sleep(0.1)
    assert (one.is_leader, two.is_leader, api.holder) == (True, False, "one")
    holding.cancel()
    await one.release()
    await asyncio.wait_for(waiting, 5)
    assert (one.is_leader, two.is_leader, api.holder) == (False, True, "two")


async def test_a_dead_leader_is_followed_after_the_duration(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await candidate(api, "dead").acquire()
    assert api.lease is not None
    api.lease["spec"]["leaseDurationSeconds"] = 0.1
    two = candidate(api, "two")
    await asyncio.wait_for(two.acquire(), 5)
    assert api.holder == "two"


async def test_a_leader_that_cannot_renew_stops(api: Api) -> None:
    one = candidate(api, "one")
    await one.acquire()
    api.failure = Unavailable(503, "ServiceUnavailable", "later")
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(one.hold(), 5)
    assert not one.is_leader


async def test_a_leader_that_was_stopped_for_long_does_not_even_ask(api: Api) -> None:
    one = candidate(api, "one")
    await one.acquire()
    before = api.lease
    holding = asyncio.create_task(one.hold())
    await asyncio.sleep(0)
    stop_the_process(rules.GIVE_UP_AFTER)
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(holding, 5)
    assert api.lease == before


def stop_the_process(seconds: float) -> None:
    time.sleep(seconds)


async def test_a_leader_whose_lease_was_taken_stops_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "GIVE_UP_AFTER", 1000.0)
    one = candidate(api, "one")
    await one.acquire()
    assert api.lease is not None
    api._put(rules.taken(api.lease, "two", 0.0), 7)
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(one.hold(), 5)


async def test_a_foreign_annotation_does_not_end_it(api: Api) -> None:
    one = candidate(api, "one")
    await one.acquire()
    assert api.lease is not None
    api._put(api.lease, 7)
    holding = asyncio.create_task(one.hold())
    await asyncio.sleep(0.1)
    assert one.is_leader
    holding.cancel()


async def test_a_candidate_outlives_a_server_that_does_not_answer(api: Api) -> None:
    api.failure = Unavailable(503, "ServiceUnavailable", "later")
    one = candidate(api, "one")
    waiting = asyncio.create_task(one.acquire())
    await asyncio.sleep(0.05)
    assert not one.is_leader
    assert one.is_alive()
    api.failure = None
    await asyncio.wait_for(waiting, 5)
    assert one.is_leader


async def test_one_who_never_led_has_nothing_to_release(api: Api) -> None:
    await candidate(api, "one").release()
    assert api.lease is None


async def test_a_release_that_fails_is_told_and_no_more(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    one = candidate(api, "one")
    await one.acquire()
    api.failure = Unavailable(503, "ServiceUnavailable", "later")
    await one.release()
    assert "not given up" in caplog.text


def test_an_election_that_stands_still_is_not_alive(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = candidate(api, "one")
    assert one.is_alive()
    late = module.time.monotonic() + 2 * rules.DURATION + 1
    monkeypatch.setattr(module.time, "monotonic", lambda: late)
    assert not one.is_alive()
