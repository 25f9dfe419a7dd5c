"""The activator and an API server that is slow, away, of two minds or forgetful."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import sluice_testing.held
from sluice_activator import decide
from sluice_activator.kubernetes import scales
from sluice_testing.activating import PROXY
from sluice_testing.held import Held, held
from sluice_testing.postgres import free_port
from sluice_testing.raw import SSL_REQUEST, startup
from sluice_testing.slices_api import SLICES, SlicesApi, registration
from sluice_testing.stand_in import answers

CANNOT = "the API server cannot be asked"
STARTUP = startup(user="app", database="app")


@pytest.fixture
def api(tmp_path: Path) -> SlicesApi:
    return SlicesApi(tmp_path / "account")


@pytest.fixture
async def activator(api: SlicesApi) -> AsyncIterator[Held]:
    with api.running():
        async with held(api) as one:
            yield one


async def let_in(activator: Held, said: bytes = STARTUP) -> None:
    """A client is woken for, and meets a pod."""
    visitor = await activator.visitor(said)
    await activator.until(lambda: activator.scale.replicas == 1, "it is woken")
    with activator.stand_in(answers).listening() as pod:
        activator.tell(unready=[pod.address])
        assert await visitor.read() == b"R"
        visitor.writer.close()


@pytest.mark.parametrize("fault", ["500", "503", "reset"])
async def test_an_api_server_that_fails_is_asked_again(activator: Held, fault: str) -> None:
    activator.api.fail(fault, times=2)
    await let_in(activator)
    assert activator.api.asked("GET") >= 3


@pytest.mark.parametrize("fault", ["409", "500", "reset"])
async def test_a_patch_that_is_not_taken_is_tried_again(activator: Held, fault: str) -> None:
    activator.api.fail(fault, times=2, verb="PATCH")
    await let_in(activator)
    assert activator.api.asked("PATCH") >= 3
    sample = activator.app.metrics.registry.get_sample_value
    # A pod may be met before the answer to the patch is read.
    await activator.until(lambda: sample("sluice_activator_wakes_total") == 1, "it is counted")


async def test_a_scale_that_somebody_else_raised_is_left_alone(activator: Held) -> None:
    """It read zero, and was late: never does it lower or raise what is not zero."""
    activator.api.before_patch = activator.raise_elsewhere
    visitor = await activator.visitor(STARTUP)
    await activator.until(lambda: activator.api.asked("PATCH") == 1, "it tries")
    await asyncio.sleep(0.5)
    assert activator.scale.replicas == 7
    assert activator.api.asked("PATCH") == 1
    assert activator.wakes() == {"held": 1, "spliced": 0, "wake": None}
    visitor.writer.close()


async def test_it_wakes_to_as_many_pods_as_the_slice_says(activator: Held) -> None:
    activator.register(replicas="3")
    await asyncio.sleep(0.2)
    await activator.visitor(SSL_REQUEST)
    await activator.until(lambda: activator.scale.replicas == 3, "three pods are asked for")


async def test_an_api_server_that_hangs_is_given_up_and_asked_again(
    activator: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scales, "_WITHIN", 0.5)
    activator.api.fail("hang", times=2)
    await let_in(activator)


async def test_an_api_server_that_is_away(activator: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held to the deadline, told why; whoever is held when it is back is let in."""
    monkeypatch.setattr(decide, "DEADLINE", 1.5)
    activator.api.stop()
    assert not activator.app.unready
    fields = await (await activator.visitor(STARTUP)).error()
    assert fields["C"] == "57P03"
    assert "cannot be woken: the Kubernetes API cannot be reached" in fields["M"]
    monkeypatch.setattr(decide, "DEADLINE", 20.0)
    visitor = await activator.visitor(STARTUP)
    await activator.held(1)
    activator.api.start()
    await activator.until(lambda: activator.scale.replicas == 1, "it is woken")
    with activator.stand_in(answers).listening() as pod:
        activator.tell(unready=[pod.address])
        assert await visitor.read() == b"R"


async def test_clients_that_are_connected_need_no_api_server(activator: Held) -> None:
    with activator.stand_in(answers).listening() as pod:
        activator.tell(ready=[pod.address])
        visitor = await activator.visitor(STARTUP)
        assert await visitor.read() == b"R"
        activator.api.stop()
        visitor.writer.write(b"more")
        await activator.until(lambda: pod.visits[-1].said.endswith(b"more"), "bytes go through")
        other = await activator.visitor(STARTUP)
        assert await other.read() == b"R"
    activator.api.start()


async def test_what_was_missed_is_listed_anew(activator: Held) -> None:
    """410: what changed is seen, and what is gone is forgotten."""
    old, activator.port = activator.port, activator.port + 1
    activator.api.stop()
    activator.register("others", port=activator.port + 1)
    activator.api.delete("shop", "orders-activator")
    activator.api.forget_the_past()
    activator.api.start()
    await activator.until_listening(activator.port + 1)
    assert old not in activator.app.ports
    assert activator.app.wake(PROXY) is None


async def test_a_watch_that_hears_410_lists_anew(activator: Held) -> None:
    activator.api.forget_the_past()
    activator.register("others", port=activator.port + 1)
    await activator.until_listening(activator.port + 1)
    assert activator.api.asked("GET", "limit=") == 2


async def test_the_watch_goes_on_where_it_ended(activator: Held) -> None:
    activator.register("first", port=activator.port + 2)
    await activator.until_listening(activator.port + 2)
    activator.api.end_watches()
    await activator.until(lambda: activator.api.asked("GET", "watch=") == 2, "it watches again")
    activator.register("others", port=activator.port + 1)
    await activator.until_listening(activator.port + 1)
    assert activator.api.asked("GET", "limit=") == 1


async def test_a_list_of_many_pages(api: SlicesApi) -> None:
    api.page = 3
    first = free_port()
    with api.running():
        for number in range(10):
            api.put(registration(f"proxy{number}", first + number))
        async with held(api) as activator:
            await activator.until_listening(*(first + number for number in range(10)))
    pages = [path for _, path in api.requests if "limit=" in path]
    assert ["continue=" in path for path in pages] == [False, True, True, True]


async def test_namespaces_are_watched_one_by_one(api: SlicesApi) -> None:
    with api.running():
        async with held(api, namespaces=("shop", "garden")) as activator:
            activator.register("roses", namespace="garden", port=activator.port + 1)
            activator.register("nobody", namespace="elsewhere", port=activator.port + 2)
            await activator.until_listening(activator.port + 1)
            await asyncio.sleep(0.3)
            assert activator.port + 2 not in activator.app.ports
    asked = {path.split("?")[0].removeprefix(SLICES) for _, path in api.requests}
    assert asked == {f"namespaces/{name}/endpointslices" for name in ("shop", "garden")}


@pytest.mark.parametrize("status", [403, 404])
async def test_a_namespace_that_is_not_there_holds_nobody_up(
    api: SlicesApi, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """The others are served; it is asked for again and again, and told of once."""
    api.refusals["/namespaces/garden/"] = status
    with api.running():
        async with held(api, namespaces=("shop", "garden")) as activator:
            await activator.until(lambda: api.asked("GET", "/garden/") > 3, "it is asked for")
            assert len([r for r in caplog.records if r.message == CANNOT]) == 1
            api.refusals.clear()
            activator.register("roses", namespace="garden", port=activator.port + 1)
            await activator.until_listening(activator.port + 1)


@pytest.mark.parametrize(("status", "namespaces"), [(403, ()), (401, ("shop",))])
async def test_without_any_right_it_is_not_ready(
    api: SlicesApi, monkeypatch: pytest.MonkeyPatch, status: int, namespaces: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sluice_testing.held, "PATIENCE", 1.0)
    api.refusals["endpointslices"] = status
    with api.running(), pytest.raises(AssertionError, match="the activator is ready"):
        async with held(api, namespaces=namespaces):
            pass


async def test_a_version_that_is_refused_again_and_again_is_given_up(activator: Held) -> None:
    """One from the future, say, of a cluster that was restored from a backup."""
    await activator.until(lambda: activator.api.asked("GET", "watch=") == 1, "it watches")
    activator.api.refusals["watch="] = 500

    def lists_anew() -> bool:
        activator.api.end_watches()
        return activator.api.asked("GET", "limit=") == 2

    await activator.until(lists_anew, "it lists anew")
    asked = ["list" if "limit=" in path else "watch" for _, path in activator.api.requests]
    assert asked[:6] == ["list", "watch", "watch", "watch", "watch", "list"]
    activator.api.refusals.clear()
    activator.register("others", port=activator.port + 1)
    await activator.until_listening(activator.port + 1)


async def test_a_token_that_changed_is_read_again(activator: Held) -> None:
    activator.api.token = "another"
    visitor = await activator.visitor(STARTUP)
    await activator.until(lambda: activator.api.asked("GET") >= 1, "it asks with the old one")
    (activator.api.folder / "token").write_text("another\n")
    await activator.until(lambda: activator.scale.replicas == 1, "it is woken")
    visitor.writer.close()


async def test_another_server_with_the_same_address_is_told_nothing(
    activator: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its certificate is not the cluster's: no token goes there."""
    monkeypatch.setattr(decide, "DEADLINE", 1.0)
    activator.api.stop()
    impostor = SlicesApi(tmp_path / "impostor", port=activator.api.port)
    with impostor.running():
        fields = await (await activator.visitor(STARTUP)).error()
        assert "cannot be reached" in fields["M"]
        assert impostor.requests == []
    activator.api.start()


async def test_http_for_probes_and_people(activator: Held) -> None:
    assert (await page(activator, "GET /healthz"))[0] == 200
    assert (await page(activator, "GET /readyz")) == (200, "ok\n")
    status, body = await page(activator, "GET /wakes/shop/orders")
    assert (status, json.loads(body)) == (200, {"held": 0, "spliced": 0, "wake": None})
    assert (await page(activator, "GET /wakes/shop/nobody"))[0] == 404
    assert (await page(activator, "GET /else"))[0] == 404
    assert (await page(activator, "POST /healthz"))[0] == 405
    assert (await page(activator, "nonsense"))[0] == 400
    status, body = await page(activator, "GET /metrics")
    assert status == 200
    for name in ("held 0.0", "spliced 0.0", "proxies 1.0", "wakes_total 0.0"):
        assert f"\nsluice_activator_{name}\n" in body


async def page(activator: Held, request: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", activator.settings.admin_port)
    writer.write(f"{request} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split(" ")[1]), body
