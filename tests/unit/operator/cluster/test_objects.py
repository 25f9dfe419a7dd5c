"""What a look makes of Services that the operator may not read. The rest: on a real cluster."""

from typing import Any

import pytest

from sluice_operator.api.manifest import parse
from sluice_operator.cluster.errors import Forbidden
from sluice_operator.cluster.objects import Objects
from sluice_operator.cluster.store import Store
from sluice_operator.decide.observed import Observed
from sluice_testing.specs import manifest

PROXY = parse(manifest({"spec.targets": [{"host": "db.data"}]}))
SERVICE = {"metadata": {"namespace": "data", "name": "db"}, "spec": {"selector": {"a": "b"}}}


class Client:
    """Has one Service at most, in a namespace that may be `closed`; knows nothing else."""

    def __init__(self, *, closed: bool, service: dict[str, Any] | None = None):
        self.closed = closed
        self.service = service

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        if kind == "Service" and self.closed:
            raise Forbidden(403, "Forbidden", "services in the namespace data")
        return self.service if kind == "Service" else None

    async def list(self, *_: Any) -> list[dict[str, Any]]:
        return []


async def look(objects: Objects, *, fresh: bool = False) -> Observed:
    return await objects.around(PROXY, fresh=fresh)


@pytest.mark.parametrize("closed", [True, False])
async def test_what_may_not_be_read_is_told_from_what_is_not_there(closed: bool) -> None:
    objects = Objects(Client(closed=closed), Store())  # type: ignore[arg-type]
    expected = {("data", "db")} if closed else frozenset()
    for _ in range(2):  # the second by what is remembered
        observed = await look(objects)
        assert observed.services == {}
        assert observed.unreadable == expected


async def test_a_fresh_look_sees_that_it_may_read() -> None:
    client = Client(closed=True, service=SERVICE)
    objects = Objects(client, Store())  # type: ignore[arg-type]
    assert (await look(objects)).unreadable == {("data", "db")}
    client.closed = False
    observed = await look(objects, fresh=True)
    assert observed.unreadable == frozenset()
    assert set(observed.services) == {("data", "db")}
