"""Who asks the API server goes on; who does not is stuck or has ended."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import kopf
import pytest
import yaml
from aiohttp import web

from sluice_operator.doors.settings import operator_settings
from sluice_operator.doors.watches import SILENT_SECONDS, Watches

SECRETS = ("", "v1", "secrets")
DEPLOYMENTS = ("apps", "v1", "deployments")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watches(clock: Clock) -> Watches:
    return Watches(clock)


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """An API server behind a path, as some are, that is out of order."""

    async def fail(_: web.Request) -> web.Response:
        return web.Response(status=503)

    application = web.Application()
    application.router.add_get("/{path:.*}", fail)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/k8s/one/"
    await runner.cleanup()


def point_to(server: str, token: str, file: Path) -> None:
    document = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file.write_text(yaml.safe_dump(document))


@pytest.fixture
def kubeconfig(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "kubeconfig"
    point_to(server, "first", file)
    monkeypatch.setenv("KUBECONFIG", str(file))
    return file


async def login(watches: Watches) -> kopf.AiohttpSession:
    arguments: dict[str, Any] = {"settings": operator_settings()}
    found = await watches.login(**arguments)
    assert found is not None
    return found


def test_nothing_is_awaited_before_it_begins(clock: Clock, watches: Watches) -> None:
    clock.now = 10 * SILENT_SECONDS
    assert watches.are_alive()


@pytest.mark.parametrize("namespaces", [(), ("shop", "till")])
def test_one_that_never_asks_is_dead(
    clock: Clock, watches: Watches, namespaces: tuple[str, ...]
) -> None:
    watches.begin([SECRETS, DEPLOYMENTS], namespaces)
    clock.now = SILENT_SECONDS - 1
    assert watches.are_alive()
    clock.now = SILENT_SECONDS
    assert not watches.are_alive()


@pytest.mark.parametrize(
    ("namespaces", "paths"),
    [
        ((), ["api/v1/secrets", "apis/apps/v1/deployments"]),
        (
            ("shop", "till"),
            [
                *("api/v1/namespaces/shop/secrets", "apis/apps/v1/namespaces/shop/deployments"),
                *("api/v1/namespaces/till/secrets", "apis/apps/v1/namespaces/till/deployments"),
            ],
        ),
    ],
)
async def test_all_have_to_ask_and_no_more_whatever_they_are_told(
    clock: Clock,
    watches: Watches,
    kubeconfig: Path,
    namespaces: tuple[str, ...],
    paths: list[str],
) -> None:
    context = await login(watches)
    watches.begin([SECRETS, DEPLOYMENTS], namespaces)
    clock.now = SILENT_SECONDS
    for path in paths:
        assert not watches.are_alive()
        await context.aiohttp_session.get(f"{context.server}{path}?watch=true&timeoutSeconds=300")
    assert watches.are_alive()
    await context.aiohttp_session.close()


async def test_an_api_server_that_is_away_is_asked_all_the_same(
    clock: Clock, watches: Watches, kubeconfig: Path
) -> None:
    point_to("http://127.0.0.1:1", "first", kubeconfig)
    context = await login(watches)
    watches.begin([SECRETS], ())
    clock.now = SILENT_SECONDS
    with pytest.raises(aiohttp.ClientConnectionError):
        await context.aiohttp_session.get(f"{context.server}/api/v1/secrets")
    assert watches.are_alive()
    await context.aiohttp_session.close()


async def test_kopf_gets_the_same_again_until_there_is_something_newer(
    watches: Watches, kubeconfig: Path, server: str
) -> None:
    first = await login(watches)
    assert await login(watches) is first
    point_to(server, "second", kubeconfig)
    second = await login(watches)
    assert second != first
    assert second.aiohttp_session.headers["Authorization"] == "Bearer second"
    for context in (first, second):
        await context.aiohttp_session.close()
