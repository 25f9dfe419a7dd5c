"""The adapter, against a server that remembers what it was asked."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from sluice_operator.cluster.client import Client
from sluice_operator.cluster.errors import (
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Rejected,
    Unavailable,
)


@dataclass
class Server:
    """Answers everything with `status` and `answer`."""

    status: int = 200
    answer: Any = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.asked.append(
            (
                request.method,
                request.path,
                dict(request.query),
                request.headers.get("Content-Type", ""),
                json.loads(text) if text else None,
            )
        )
        body = self.answer if isinstance(self.answer, str) else json.dumps(self.answer)
        return web.Response(status=self.status, text=body)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    client = Client(ApiClient(Configuration(host=f"http://127.0.0.1:{port}")))
    yield client
    await client.close()
    await runner.cleanup()


MANIFEST: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "orders-proxy", "namespace": "shop", "uid": "u1"},
}
DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/orders-proxy"
APPLY = {"fieldManager": "sluice", "force": "true"}


async def test_apply_is_a_forced_server_side_apply(client: Client, server: Server) -> None:
    server.answer = {"applied": True}
    assert await client.apply(MANIFEST) == {"applied": True}
    assert server.asked == [("PATCH", DEPLOYMENT, APPLY, "application/apply-patch+yaml", MANIFEST)]


async def test_apply_status_goes_to_the_subresource(client: Client, server: Server) -> None:
    proxy = {**MANIFEST, "apiVersion": "sluice.dev/v1alpha1", "kind": "DatabaseProxy"}
    await client.apply_status(proxy)
    path = "/apis/sluice.dev/v1alpha1/namespaces/shop/databaseproxies/orders-proxy/status"
    assert server.asked[0][:3] == ("PATCH", path, APPLY)


async def test_get(client: Client, server: Server) -> None:
    server.answer = {"kind": "Secret"}
    assert await client.get("Secret", "shop", "a") == {"kind": "Secret"}
    assert server.asked[0][:2] == ("GET", "/api/v1/namespaces/shop/secrets/a")
    server.status = 404
    assert await client.get("Secret", "shop", "a") is None


async def test_items_of_a_list_know_their_kind(client: Client, server: Server) -> None:
    server.answer = {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "p"}}]}
    pods = await client.list("Pod", "shop", {"b": "2", "a": "1"})
    assert pods == [{"metadata": {"name": "p"}, "kind": "Pod", "apiVersion": "v1"}]
    assert server.asked[0][2] == {"labelSelector": "a=1,b=2"}


async def test_delete_means_this_very_object(client: Client, server: Server) -> None:
    await client.delete(MANIFEST)
    method, path, _, _, body = server.asked[0]
    assert (method, path) == ("DELETE", DEPLOYMENT)
    assert body == {"preconditions": {"uid": "u1"}}
    server.status = 404
    await client.delete(MANIFEST)


OURS = {"fieldManager": "sluice"}
LEASE: dict[str, Any] = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "l", "namespace": "shop", "resourceVersion": "7"},
}
LEASES = "/apis/coordination.k8s.io/v1/namespaces/shop/leases"


async def test_merge_changes_what_it_names(client: Client, server: Server) -> None:
    change = {"metadata": {"annotations": {"a": "b"}}}
    await client.merge("Pod", "shop", "p", change)
    path = "/api/v1/namespaces/shop/pods/p"
    assert server.asked == [("PATCH", path, OURS, "application/merge-patch+json", change)]


async def test_create_and_replace(client: Client, server: Server) -> None:
    await client.create(LEASE)
    await client.replace(LEASE)
    assert server.asked == [
        ("POST", LEASES, OURS, "application/json", LEASE),
        ("PUT", f"{LEASES}/l", OURS, "application/json", LEASE),
    ]


async def test_whether_a_kind_is_served(client: Client, server: Server) -> None:
    server.answer = {"resources": [{"name": "databaseproxies"}]}
    assert await client.is_served("DatabaseProxy")
    server.answer = {"resources": []}
    assert not await client.is_served("DatabaseProxy")
    server.status = 404
    assert not await client.is_served("DatabaseProxy")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (401, ApiError),
        (403, Forbidden),
        (404, Gone),
        (409, Conflict),
        (422, Rejected),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
async def test_errors_are_our_own(
    client: Client, server: Server, status: int, kind: type[ApiError]
) -> None:
    server.status = status
    server.answer = {"reason": "Because", "message": "of something"}
    with pytest.raises(kind, match=f"{status} Because: of something") as caught:
        await client.apply(MANIFEST)
    assert type(caught.value) is kind


async def test_an_answer_that_is_no_json_is_an_error_all_the_same(
    client: Client, server: Server
) -> None:
    server.status, server.answer = 502, "<html>"
    with pytest.raises(Unavailable, match="no reason given"):
        await client.apply(MANIFEST)


async def test_no_server_at_all() -> None:
    client = Client(ApiClient(Configuration(host="http://127.0.0.1:1")))
    with pytest.raises(Unavailable):
        await client.apply(MANIFEST)
    await client.close()


async def test_a_list_says_from_which_version_a_watch_goes_on(
    client: Client, server: Server
) -> None:
    server.answer = {"metadata": {"resourceVersion": "7"}, "items": []}
    assert await client.list_at("Pod", "shop", {}) == ([], "7")


async def test_a_scale_is_written_to_what_was_read_and_by_a_manager_of_its_own(
    client: Client, server: Server
) -> None:
    """An apply of ours leaves out the number of pods: it must not be taken away by that."""
    read = {**MANIFEST, "metadata": {**MANIFEST["metadata"], "resourceVersion": "7"}}
    await client.scale(read, 0)
    change = {"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 0}}
    managed = {"fieldManager": "sluice-scale"}
    assert server.asked == [
        ("PATCH", f"{DEPLOYMENT}/scale", managed, "application/merge-patch+json", change)
    ]
    server.status = 409
    with pytest.raises(Conflict):
        await client.scale(read, 2)


async def test_a_watch_tells_one_event_after_another(client: Client, server: Server) -> None:
    events = [{"type": "ADDED", "object": {"n": 1}}, {"type": "DELETED", "object": {"n": 1}}]
    server.answer = "".join(f"{json.dumps(event)}\n" for event in events)
    watch = client.watch("Pod", "shop", {"b": "2", "a": "1"}, "7", 290)
    assert [event async for event in watch] == events
    query = {"watch": "1", "resourceVersion": "7", "timeoutSeconds": "290"}
    (asked,) = server.asked
    assert asked[:2] == ("GET", "/api/v1/namespaces/shop/pods")
    assert asked[2] == {"labelSelector": "a=1,b=2", **query}


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [(403, {"reason": "Forbidden", "message": "not here"}, Forbidden), (200, "{", Unavailable)],
)
async def test_a_watch_that_fails_says_so(
    client: Client, server: Server, status: int, answer: Any, error: type[ApiError]
) -> None:
    server.status, server.answer = status, answer
    with pytest.raises(error):
        await anext(client.watch("Pod", "shop", {}, "7", 290))
