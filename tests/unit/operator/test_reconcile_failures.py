"""What the API server refuses or fails at is told as far as it can be, and tried again."""

import pytest

from sluice_operator.cluster.errors import (
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Rejected,
    Unavailable,
)
from sluice_operator.cluster.store import Store
from sluice_operator.reconcile import DUE_SECONDS, Reconciler
from sluice_testing.api_server import KEY, Api, Clock, Manifest, Pods


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Rejected(422, "Invalid", "Deployment is invalid: spec"), "Rejected"),
        (Forbidden(403, "Forbidden", "exceeded quota"), "Forbidden"),
    ],
)
async def test_what_the_api_server_refuses_is_told(
    api: Api, reconciler: Reconciler, error: ApiError, reason: str
) -> None:
    api.refuse["Deployment"] = error
    await reconciler.reconcile(KEY)
    assert api.condition("Accepted")["reason"] == reason
    assert error.message in api.condition("Ready")["message"]


async def fails(reconciler: Reconciler, error: ApiError) -> None:
    with pytest.raises(ApiError) as raised:
        await reconciler.reconcile(KEY)
    assert raised.value is error


WEBHOOK = Unavailable(500, "InternalError", 'failed calling webhook "a.b": refused')


@pytest.mark.parametrize(
    "error",
    [
        WEBHOOK,
        Unavailable(429, "TooManyRequests", "try again later"),
        Conflict(409, "Conflict", "the object has been modified"),
        Gone(404, "NotFound", "no such thing"),
        ApiError(405, "MethodNotAllowed", "not today"),
    ],
    ids=str,
)
async def test_what_the_api_server_fails_at_is_told_and_goes_to_the_queue(
    api: Api, reconciler: Reconciler, error: ApiError
) -> None:
    api.refuse["Deployment"] = error
    await fails(reconciler, error)
    told = api.condition("Progressing")
    assert (told["status"], told["reason"]) == ("False", "APIServerError")
    assert told["message"].startswith(f"Deployment shop/orders-proxy: {error.message}: wait, ")
    assert api.condition("Reconciling")["message"] == told["message"]
    assert api.condition("Ready")["message"] == told["message"]
    assert api.condition("Accepted")["status"] == "True"
    api.written.clear()
    await fails(reconciler, error)
    assert api.written == []
    api.refuse.clear()
    await reconciler.reconcile(KEY)
    assert api.condition("Progressing")["reason"] == "RollingOut"


async def test_a_failure_to_delete_is_told_as_well(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    proxy = api.objects["DatabaseProxy", *KEY]
    proxy["spec"]["replicas"] = 1
    store.put(proxy)
    api.refuse["delete"] = WEBHOOK
    await fails(reconciler, WEBHOOK)
    message = api.condition("Progressing")["message"]
    assert message.startswith("PodDisruptionBudget shop/orders-proxy: failed calling webhook")


async def test_other_words_of_a_failure_are_written_once_a_minute(
    api: Api, store: Store, clock: Clock, reconciler: Reconciler
) -> None:
    """Each write of a status leads to a look at once: it would be a loop without a pause."""
    api.refuse["Deployment"] = WEBHOOK
    await fails(reconciler, WEBHOOK)
    other = api.refuse["Deployment"] = Unavailable(500, "InternalError", "port 41236")
    api.written.clear()
    await fails(reconciler, other)
    assert api.written == []
    clock.now += DUE_SECONDS
    await fails(reconciler, other)
    assert api.written == ["status"]
    assert "port 41236" in api.condition("Progressing")["message"]
    again = api.refuse["Deployment"] = Unavailable(500, "InternalError", "port 41237")
    proxy = api.objects["DatabaseProxy", *KEY]
    proxy["metadata"]["generation"] = 2
    store.put(proxy)
    await fails(reconciler, again)
    assert "port 41237" in api.condition("Progressing")["message"]
    assert api.condition("Progressing")["observedGeneration"] == 2


async def test_what_cannot_be_told_is_the_queues_affair(
    api: Api, reconciler: Reconciler, caplog: pytest.LogCaptureFixture
) -> None:
    api.refuse["Service"] = later = Unavailable(503, "ServiceUnavailable", "later")
    api.refuse["status"] = Unavailable(0, "NoAnswer", "connection refused")
    await fails(reconciler, later)
    assert "status" not in api.written
    assert "shop/orders: the status was not written: 0 NoAnswer: connection refused" in caplog.text


async def test_a_pod_that_cannot_be_touched_is_told(
    api: Api, pods: Pods, reconciler: Reconciler, served: Manifest
) -> None:
    pods.config_hash = "old"
    api.refuse["merge"] = WEBHOOK
    await fails(reconciler, WEBHOOK)
    assert api.condition("Progressing")["message"].startswith("Pod shop/p: failed calling webhook")
    assert api.condition("Ready")["reason"] == "Serving"
