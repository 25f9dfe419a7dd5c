"""The funnel where the real API server cannot be made to fail on demand.

Everything else about it is shown on a real cluster.
"""

import copy
from dataclasses import replace

import pytest

from sluice_operator import names
from sluice_operator.cluster.errors import Forbidden, Gone
from sluice_operator.cluster.store import Store
from sluice_operator.reconcile import SOON, Reconciler
from sluice_testing.api_server import KEY, Api, Manifest, Pods, add_pod, config_hash


async def test_the_first_look_writes_all_and_the_second_nothing(
    api: Api, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    kinds = [written.split()[0] for written in api.written]
    assert kinds == [
        *("EndpointSlice", "Secret", "Secret", "Secret", "Secret", "ServiceAccount"),
        *("NetworkPolicy", "Service", "Service", "PodDisruptionBudget", "Deployment"),
        *("scale", "NetworkPolicy", "status"),
    ]
    api.written.clear()
    await reconciler.reconcile(KEY)
    assert api.written == []


async def test_a_proxy_that_is_gone_is_not_looked_at_again(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    api.objects["DatabaseProxy", *KEY]["metadata"]["deletionTimestamp"] = "now"
    assert await reconciler.reconcile(KEY) is None
    del api.objects["DatabaseProxy", *KEY]
    store.forget([("DatabaseProxy", *KEY)])
    assert await reconciler.reconcile(KEY) is None
    assert api.written == []


OLDER_SCHEMA = pytest.mark.parametrize(
    ("field", "value", "reason"),
    [("replicas", "two", "Invalid"), ("engineFamily", "MySQL", "UnsupportedEngineFamily")],
)
SERVED = (
    *("endpoint", "selector", "caSecretName", "configHash"),
    *("replicas", "readyReplicas", "targets", "pool"),
)
"""What the status says of the pods that serve, whatever the spec."""


@OLDER_SCHEMA
async def test_a_manifest_of_an_older_schema_is_told(
    api: Api, reconciler: Reconciler, field: str, value: str, reason: str
) -> None:
    api.objects["DatabaseProxy", *KEY]["spec"][field] = value
    await reconciler.reconcile(KEY)
    assert api.written == ["status"]
    told = api.condition("Accepted")
    assert told["reason"] == reason
    assert told["message"].startswith(f"spec.{field}: ")
    assert api.condition("Ready")["reason"] == reason


@OLDER_SCHEMA
async def test_what_serves_is_told_beside_a_manifest_of_an_older_schema(
    api: Api,
    store: Store,
    reconciler: Reconciler,
    served: Manifest,
    field: str,
    value: str,
    reason: str,
) -> None:
    before = served.pop("status")
    served["spec"][field] = value
    store.put(served)
    await reconciler.reconcile(KEY)
    assert api.written == ["status"]
    assert api.condition("Accepted")["reason"] == reason
    assert api.condition("Accepted")["message"].endswith(
        "; the last good configuration goes on serving"
    )
    assert api.condition("Stalled")["reason"] == reason
    assert api.condition("TargetsAvailable")["status"] == "True"
    assert api.condition("Ready")["reason"] == "Serving"
    assert {key: served["status"][key] for key in SERVED} == {key: before[key] for key in SERVED}
    await reconciler.reconcile(KEY)
    assert api.written == ["status"]


async def test_what_serves_is_told_beside_a_name_that_is_taken(
    api: Api, store: Store, reconciler: Reconciler, served: Manifest
) -> None:
    before = copy.deepcopy(served["status"])
    service = api.objects["Service", "shop", "orders"]
    service["metadata"]["ownerReferences"] = []
    store.put(service)
    await reconciler.reconcile(KEY)
    assert api.condition("Accepted")["reason"] == "NameTaken"
    assert api.condition("Ready")["reason"] == "Serving"
    assert {key: served["status"][key] for key in SERVED} == {key: before[key] for key in SERVED}


async def test_nothing_of_somebody_elses_is_told_as_ours(
    api: Api, reconciler: Reconciler, served: Manifest
) -> None:
    """Another one of the same name is made, and the garbage of the first is not gone yet."""
    served["metadata"]["uid"] = "uid-2"
    reconciler._objects._store.put(served)
    await reconciler.reconcile(KEY)
    assert api.condition("Accepted")["reason"] == "NameTaken"
    assert [served["status"][key] for key in SERVED[:4]] == ["", "", "", ""]


async def test_a_look_at_rest_asks_the_api_server_nothing(api: Api, reconciler: Reconciler) -> None:
    await reconciler.reconcile(KEY)
    api.reads = 0
    await reconciler.reconcile(KEY)
    assert api.reads == 0


async def test_a_child_that_only_the_store_forgot_is_not_written_again(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    store.forget([("Service", "shop", "orders")])
    api.written.clear()
    await reconciler.reconcile(KEY)
    assert api.written == []


async def test_secrets_that_lost_their_labels_get_them_back_and_are_not_made_anew(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    remembered = [("Secret", "shop", name) for name in names.remembered("orders")]
    before = copy.deepcopy([api.objects[key]["data"] for key in remembered])
    for key in remembered:
        del api.objects[key]["metadata"]["labels"]
        store.see(api.objects[key], deleted=False)
    await reconciler.reconcile(KEY)
    assert [api.objects[key]["data"] for key in remembered] == before
    for key in remembered:
        assert api.objects[key]["metadata"]["labels"] == names.labels("orders")


async def test_a_pod_with_an_old_document_is_poked_and_looked_at_soon(
    api: Api, pods: Pods, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    add_pod(api, store)
    api.written.clear()
    assert await reconciler.reconcile(KEY) == SOON
    assert api.written[0] == "annotate p"
    pods.config_hash = config_hash(api)
    await reconciler.reconcile(KEY)
    assert api.condition("TargetsAvailable")["status"] == "True"


async def test_a_pod_that_ends_meanwhile_is_no_error(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    add_pod(api, store)
    api.refuse["merge"] = Gone(404, "NotFound", "p")
    api.refuse["status"] = Gone(404, "NotFound", "orders")
    assert await reconciler.reconcile(KEY) is not None


async def test_what_happened_is_told_by_events(api: Api, reconciler: Reconciler) -> None:
    await reconciler.reconcile(KEY)
    del api.objects["Secret", "shop", "orders-app"]
    reconciler._objects._store.forget([("Secret", "shop", "orders-app")])
    await reconciler.reconcile(KEY)
    assert "SecretNotFound" in api.told()


async def test_a_server_is_back_although_it_was_seen_while_it_was_asked(
    api: Api, pods: Pods, reconciler: Reconciler, served: Manifest
) -> None:
    """A changed password is tried first: a look may fall into that, or not."""
    well = pods.target
    told = []
    for health, reason in (("Unavailable", "AuthFailure"), ("Registering", ""), ("Available", "")):
        pods.target = replace(well, health=health, reason=reason)
        await reconciler.reconcile(KEY)
        told.append(api.told() & {"AuthFailure", "Available"})
    assert told == [{"AuthFailure"}, {"AuthFailure"}, {"AuthFailure", "Available"}]


async def test_an_event_that_cannot_be_written_stops_nothing(
    api: Api, reconciler: Reconciler, caplog: pytest.LogCaptureFixture
) -> None:
    del api.objects["Secret", "shop", "orders-app"]
    api.refuse["Event"] = Forbidden(403, "Forbidden", "no events here")
    await reconciler.reconcile(KEY)
    assert api.condition("CredentialsReady")["reason"] == "SecretNotFound"
    assert "was not written" in caplog.text


async def test_while_suspended_nothing_but_the_status_is_written(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    spec = api.objects["DatabaseProxy", *KEY]["spec"]
    spec["suspend"], spec["replicas"] = True, 5
    store.put(api.objects["DatabaseProxy", *KEY])
    del api.objects["Service", "shop", "orders"]
    store.forget([("Service", "shop", "orders")])
    api.written.clear()
    await reconciler.reconcile(KEY)
    assert api.written == ["status"]
    assert api.condition("Progressing")["reason"] == "Suspended"
    spec["suspend"] = False
    store.put(api.objects["DatabaseProxy", *KEY])
    await reconciler.reconcile(KEY)
    assert "Service orders" in api.written


async def test_nothing_is_deleted_while_the_spec_is_not_whole(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    api.objects["DatabaseProxy", *KEY]["spec"]["tls"] = {"secretRef": {"name": "missing"}}
    store.put(api.objects["DatabaseProxy", *KEY])
    api.written.clear()
    await reconciler.reconcile(KEY)
    assert api.written == ["status"]
    assert api.condition("CredentialsReady")["message"].startswith("spec.tls.secretRef.name")
