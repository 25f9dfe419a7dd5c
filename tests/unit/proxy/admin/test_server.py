"""The admin port over real sockets, beside a real event loop."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from typing import Any

import pytest

from sluice_proxy.admin import server as server_module
from sluice_proxy.admin.server import MAX_CONNECTIONS, AdminServer
from sluice_proxy.admin.views import Gauges
from sluice_proxy.metrics import Counters


class FakeViews:
    """A proxy that says what the test wants; knows which thread asked."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.reason = ""
        self.document: dict[str, Any] = {"clients": 3, "config": {"hash": "abc"}}
        self.asked_by: set[threading.Thread] = set()

    def state(self) -> dict[str, Any]:
        self.asked_by.add(threading.current_thread())
        return dict(self.document)

    def ready(self) -> str:
        self.asked_by.add(threading.current_thread())
        return self.reason

    def gauges(self) -> Gauges:
        self.asked_by.add(threading.current_thread())
        return Gauges(45, 5, 2, 3, 1, 6, 300, 299, draining=False)


@pytest.fixture
def views() -> FakeViews:
    return FakeViews()


@pytest.fixture
async def admin(views: FakeViews) -> AsyncIterator[AdminServer]:
    before = threading.active_count()
    server = AdminServer("127.0.0.1", 0, asyncio.get_running_loop(), views)
    server.start()
    yield server
    server.stop()
    workers = [thread for thread in threading.enumerate() if thread.name == "admin"]
    assert not workers, f"{len(workers)} left, {before} threads before"


Response = tuple[int, bytes, dict[str, str]]


def fetch(port: int, path: str, method: str = "GET", **headers: str) -> Response:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=names)
        response = connection.getresponse()
        return response.status, response.read(), dict(response.getheaders())


async def get(admin: AdminServer, path: str, method: str = "GET", **headers: str) -> Response:
    return await asyncio.to_thread(fetch, admin.port, path, method, **headers)


def raw(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(4096):
            received += chunk
        return received


async def test_healthz(admin: AdminServer) -> None:
    assert (await get(admin, "/healthz"))[:2] == (200, b"ok\n")


async def test_readyz_tells_the_reason(admin: AdminServer, views: FakeViews) -> None:
    assert (await get(admin, "/readyz"))[:2] == (200, b"ok\n")
    views.reason = "draining"
    assert (await get(admin, "/readyz"))[:2] == (503, b"draining\n")


async def test_state_has_an_etag_that_follows_its_content(
    admin: AdminServer, views: FakeViews
) -> None:
    status, body, headers = await get(admin, "/state")
    assert (status, json.loads(body)) == (200, views.document)
    assert headers["Content-Type"] == "application/json"
    etag = headers["ETag"]
    assert (await get(admin, "/state", If_None_Match=etag))[:2] == (304, b"")
    views.document["clients"] = 4
    status, body, headers = await get(admin, "/state", If_None_Match=etag)
    assert (status, json.loads(body)["clients"]) == (200, 4)
    assert headers["ETag"] != etag


async def test_metrics(admin: AdminServer, views: FakeViews) -> None:
    views.counters.clients_accepted = 7
    status, body, headers = await get(admin, "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert b"sluice_client_connections_accepted_total 7.0\n" in body
    assert b"sluice_server_connections_budget 45.0\n" in body


async def test_views_are_asked_on_the_loops_thread_only(
    admin: AdminServer, views: FakeViews
) -> None:
    for path in ("/readyz", "/state", "/metrics"):
        await get(admin, path)
    assert views.asked_by == {threading.current_thread()}


async def test_other_paths_and_methods(admin: AdminServer) -> None:
    assert (await get(admin, "/"))[0] == 404
    assert (await get(admin, "/state/x"))[0] == 404
    for method in ("POST", "PUT", "DELETE", "PATCH", "BREW"):
        status, _, headers = await get(admin, "/state", method)
        assert (status, headers["Allow"]) == (405, "GET")


async def test_an_answer_outlives_a_body_that_nobody_reads(admin: AdminServer) -> None:
    request = b"POST /state HTTP/1.1\r\nContent-Length: 30000\r\n\r\n" + bytes(30000)
    answer = await asyncio.to_thread(raw, admin.port, request)
    assert answer.startswith(b"HTTP/1.1 405 ")


async def test_garbage_is_refused(admin: AdminServer) -> None:
    answer = await asyncio.to_thread(raw, admin.port, b"\x16\x03\x01\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    answer = await asyncio.to_thread(raw, admin.port, b"x" * 9000)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert (await get(admin, "/healthz"))[0] == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/state", "/metrics"])
async def test_a_loop_that_hangs_is_a_503(
    admin: AdminServer, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(server_module, "LOOP_ANSWERS_WITHIN", 0.05)
    responses: list[Response] = []
    client = threading.Thread(target=lambda: responses.append(fetch(admin.port, path)))
    client.start()
    client.join()  # On the loop's own thread: while this waits, the loop hangs.
    assert responses[0][:2] == (503, b"the event loop does not answer\n")
    assert (await get(admin, path))[0] == 200


async def test_a_view_that_fails_is_a_500_without_details(
    admin: AdminServer, views: FakeViews, caplog: pytest.LogCaptureFixture
) -> None:
    views.document["password"] = object()
    status, body, _ = await get(admin, "/state")
    assert status == 500
    assert b"object" not in body
    assert "admin page failed" in caplog.text
    assert (await get(admin, "/healthz"))[0] == 200


async def test_too_many_connections_are_closed(
    admin: AdminServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "REQUEST_WITHIN", 1000.0)
    held = [
        socket.create_connection(("127.0.0.1", admin.port), timeout=10)
        for _ in range(MAX_CONNECTIONS + 1)
    ]
    try:
        assert await asyncio.to_thread(held[-1].recv, 1) == b""
    finally:
        for connection in held:
            connection.close()


@pytest.mark.parametrize("sent", [b"", b"GET /he", b"GET /healthz HTTP/1.1\r\n\r\n"])
async def test_stop_waits_for_nobody(
    admin: AdminServer, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    for limit in ("LOOP_ANSWERS_WITHIN", "REQUEST_WITHIN", "LINGER"):
        monkeypatch.setattr(server_module, limit, 1000.0)
    port = admin.port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        while not admin._connections:  # Accepted, and whatever was sent is being looked at.
            threading.Event().wait(0.001)
        admin.stop()
        assert not admin._connections
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10)


async def test_a_port_in_use_is_an_error_at_once(admin: AdminServer, views: FakeViews) -> None:
    second = AdminServer("127.0.0.1", admin.port, asyncio.get_running_loop(), views)
    with pytest.raises(OSError, match="in use"):
        second.start()
    second.stop()


def test_a_closed_loop_is_a_503(views: FakeViews) -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    server = AdminServer("127.0.0.1", 0, loop, views)
    server.start()
    try:
        assert fetch(server.port, "/healthz")[0] == 503
    finally:
        server.stop()


@pytest.mark.parametrize("act", [lambda server: server.stop(), lambda server: server.port])
def test_before_start(views: FakeViews, act: Callable[[AdminServer], object]) -> None:
    with closing(asyncio.new_event_loop()) as loop:
        act(AdminServer("127.0.0.1", 0, loop, views))
