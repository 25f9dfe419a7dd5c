"""What the funnel does for the activators: a port for each proxy, and its clients let in there."""

import copy
from dataclasses import replace

import pytest

from sluice_operator import names
from sluice_operator.cluster.errors import Conflict, Unavailable
from sluice_operator.cluster.store import Store
from sluice_operator.decide.ports import Ports
from sluice_operator.decide.references import Key
from sluice_operator.reconcile import FRESH_SECONDS, Reconciler
from sluice_testing.api_server import KEY, PROXY, Api, Clock, Manifest, Standins

POLICY = ("NetworkPolicy", "sluice-system", "shop.orders")
BILLS = ("shop", "bills")


def slice_of(api: Api, key: Key) -> Manifest:
    return api.objects["EndpointSlice", key[0], names.fallback_slice(key[1])]


def port(api: Api, key: Key) -> int:
    found: int = slice_of(api, key)["ports"][0]["port"]
    return found


async def move(key: Key, number: int, reconciler: Reconciler) -> None:
    """Its slice has another port, as the next look at it sees."""
    store = reconciler._objects._store
    (live,) = (item for item in store.of_proxy(*key) if item["kind"] == "EndpointSlice")
    live = copy.deepcopy(live)
    live["ports"][0]["port"] = number
    store.put(live)
    await reconciler.reconcile(key)


def let_in(api: Api, key: Key) -> list[int]:
    """At which ports of the activators the clients of a proxy are."""
    policy = api.objects["NetworkPolicy", "sluice-system", names.activator_policy(key[1], key[0])]
    return [item["port"] for rule in policy["spec"]["ingress"] for item in rule["ports"]]


def take_away(api: Api, store: Store, key: Key) -> None:
    proxy = api.objects.pop(("DatabaseProxy", *key))
    store.see(proxy, deleted=True)


@pytest.fixture
def second(api: Api) -> Key:
    """Another DatabaseProxy, which comes before the first by name."""
    bills = copy.deepcopy(PROXY)
    bills["metadata"] |= {"name": "bills", "uid": "uid-2"}
    api.objects["DatabaseProxy", *BILLS] = bills
    return BILLS


async def test_clients_are_let_in_where_the_slice_leads_them(
    api: Api, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    assert let_in(api, KEY) == [port(api, KEY)]
    assert [item["addresses"] for item in slice_of(api, KEY)["endpoints"]] == [
        ["10.9.0.1"], ["10.9.0.2"],
    ]  # fmt: skip


async def test_other_clients_are_let_in_instead(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    peer = {"ipBlock": {"cidr": "10.0.0.0/8"}}
    api.objects["DatabaseProxy", *KEY]["spec"]["network"] = {"allowedClients": [peer]}
    store.put(api.objects["DatabaseProxy", *KEY])
    await reconciler.reconcile(KEY)
    assert api.objects[POLICY]["spec"]["ingress"][0]["from"] == [peer]


@pytest.mark.parametrize("gone", [False, True])
async def test_a_policy_that_somebody_changed_is_put_right(
    api: Api, clock: Clock, reconciler: Reconciler, *, gone: bool
) -> None:
    """The operator need not watch its own namespace: a fresh look sees it."""
    await reconciler.reconcile(KEY)
    before = copy.deepcopy(api.objects[POLICY]["spec"])
    if gone:
        del api.objects[POLICY]
    else:
        api.objects[POLICY]["spec"]["ingress"] = []
    clock.now += 2 * FRESH_SECONDS
    await reconciler.reconcile(KEY)
    assert api.objects[POLICY]["spec"] == before


async def test_the_policy_goes_with_the_proxy(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    take_away(api, store, KEY)
    api.written.clear()
    assert await reconciler.reconcile(KEY) is None
    assert api.written == ["-NetworkPolicy shop.orders"]
    assert await reconciler.reconcile(KEY) is None
    assert api.written == ["-NetworkPolicy shop.orders"]


async def test_the_policy_of_a_proxy_that_went_meanwhile_goes_as_well(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    """The operator was away when the proxy was deleted: it never saw either."""
    await reconciler.reconcile(KEY)
    take_away(api, store, KEY)
    store.forget([POLICY])
    reconciler._trails.clear()
    assert await reconciler.reconcile(KEY) is None
    assert POLICY not in api.objects


async def test_a_policy_that_cannot_be_deleted_is_tried_again(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    take_away(api, store, KEY)
    api.refuse["delete"] = Conflict(409, "Conflict", "the uid is another")
    with pytest.raises(Conflict):
        await reconciler.reconcile(KEY)
    api.refuse.clear()
    await reconciler.reconcile(KEY)
    assert POLICY not in api.objects


async def test_a_policy_that_cannot_be_written_is_told(api: Api, reconciler: Reconciler) -> None:
    await reconciler.reconcile(KEY)
    del api.objects[POLICY]
    reconciler._objects._store.forget([POLICY])
    api.refuse["NetworkPolicy"] = error = Unavailable(500, "InternalError", "a webhook failed")
    with pytest.raises(Unavailable) as raised:
        await reconciler.reconcile(KEY)
    assert raised.value is error
    told = api.condition("Progressing")["message"]
    assert told.startswith("NetworkPolicy sluice-system/shop.orders: a webhook failed")


async def test_where_no_policy_stands_before_the_activators_none_is_made(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    reconciler._installation = replace(reconciler._installation, activator_policies=False)
    await reconciler.reconcile(KEY)
    assert POLICY not in api.objects
    api.objects[POLICY] = {"kind": "NetworkPolicy", "metadata": {}}
    take_away(api, store, KEY)
    await reconciler.reconcile(KEY)
    assert POLICY in api.objects


async def test_while_suspended_no_policy_is_written(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    api.objects["DatabaseProxy", *KEY]["spec"]["suspend"] = True
    await reconciler.reconcile(KEY)
    assert api.written == ["status"]


async def test_other_activators_are_told_to_the_service(
    api: Api, activators: Standins, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    before = port(api, KEY)
    activators.ips = ("10.9.0.7",)
    await reconciler.reconcile(KEY)
    (endpoint,) = slice_of(api, KEY)["endpoints"]
    assert endpoint["addresses"] == ["10.9.0.7"]
    assert port(api, KEY) == before


async def test_who_stood_in_before_stays_while_nobody_is_known(
    api: Api, activators: Standins, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    api.written.clear()
    activators.ips = ()
    await reconciler.reconcile(KEY)
    assert not any("EndpointSlice" in written for written in api.written)
    assert len(slice_of(api, KEY)["endpoints"]) == 2


async def test_without_activators_the_slice_goes_and_nobody_is_let_in(
    api: Api, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    reconciler._installation = replace(reconciler._installation, activators="")
    api.written.clear()
    await reconciler.reconcile(KEY)
    assert "-EndpointSlice orders-activator" in api.written


async def test_two_proxies_have_ports_of_their_own(
    api: Api, reconciler: Reconciler, second: Key
) -> None:
    """Also where one has what the other would have taken."""
    liked = Ports().port(second)
    await reconciler.reconcile(KEY)
    await move(KEY, liked, reconciler)
    await reconciler.reconcile(second)
    assert port(api, KEY) == liked
    assert port(api, second) != liked
    assert let_in(api, second) == [port(api, second)]


@pytest.fixture
def looked_at(reconciler: Reconciler) -> list[Key]:
    found: list[Key] = []
    reconciler.look_at = found.append
    return found


async def test_who_has_the_port_of_another_is_looked_at_and_moves(
    api: Api, reconciler: Reconciler, second: Key, looked_at: list[Key]
) -> None:
    """As after somebody restored objects of long ago: bills stays, for it is the first by name."""
    await reconciler.reconcile(KEY)
    await reconciler.reconcile(second)
    same = port(api, KEY)
    await move(second, same, reconciler)
    assert looked_at == [KEY]
    await reconciler.reconcile(KEY)
    assert looked_at == [KEY]
    assert port(api, second) == same
    assert port(api, KEY) != same
    assert let_in(api, KEY) == [port(api, KEY)]
    assert let_in(api, second) == [same]


async def test_who_comes_later_by_name_moves_by_itself(
    api: Api, reconciler: Reconciler, second: Key, looked_at: list[Key]
) -> None:
    await reconciler.reconcile(second)
    same = port(api, second)
    await reconciler.reconcile(KEY)
    reconciler._ports.free(KEY)
    await move(KEY, same, reconciler)
    assert looked_at == []
    assert port(api, second) == same
    assert port(api, KEY) != same


async def test_the_port_of_one_that_is_gone_is_free(
    api: Api, store: Store, reconciler: Reconciler, second: Key, looked_at: list[Key]
) -> None:
    await reconciler.reconcile(KEY)
    freed = port(api, KEY)
    take_away(api, store, KEY)
    await reconciler.reconcile(KEY)
    await reconciler.reconcile(second)
    await move(second, freed, reconciler)
    assert looked_at == []
    assert port(api, second) == freed


async def test_a_port_of_one_whose_spec_is_refused_is_given_to_nobody(
    api: Api, store: Store, reconciler: Reconciler, second: Key
) -> None:
    """The operator was started anew: it has seen its slice, but not a spec that it can read."""
    liked = Ports().port(second)
    await reconciler.reconcile(KEY)
    await move(KEY, liked, reconciler)
    reconciler._ports.free(KEY)
    api.objects["DatabaseProxy", *KEY]["spec"]["replicas"] = "two"
    store.put(api.objects["DatabaseProxy", *KEY])
    await reconciler.reconcile(KEY)
    await reconciler.reconcile(second)
    assert port(api, KEY) == liked
    assert port(api, second) != liked


async def test_while_something_else_cannot_be_written_the_policy_waits(
    api: Api, reconciler: Reconciler
) -> None:
    api.refuse["Service"] = Unavailable(503, "ServiceUnavailable", "later")
    with pytest.raises(Unavailable):
        await reconciler.reconcile(KEY)
    assert POLICY not in api.objects
