"""Pods are asked for `/state`; a silent one has no answer."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from sluice_operator.decide.observed import Pod
from sluice_operator.decide.wake import Wake
from sluice_operator.desired.inputs import Activator
from sluice_operator.proxies import states as module
from sluice_operator.proxies.states import States

ANSWER: dict[str, Any] = {"config": {"hash": "abc"}, "targets": [], "pool": {"clients": 3}}
POD = Pod("a", "127.0.0.1", True, False, "")


async def serve(answer: Any, path: str = "/state") -> tuple[web.AppRunner, int]:
    async def handle(_: web.Request) -> web.StreamResponse:
        if answer is None:
            await asyncio.sleep(3600)
        return web.json_response(answer)

    application = web.Application()
    application.router.add_get(path, handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port: int = runner.addresses[0][1]
    return runner, port


async def test_answers_by_name() -> None:
    runner, port = await serve(ANSWER)
    states = States(port)
    found = await states.of([POD, replace(POD, name="b", ip="")])
    assert list(found) == ["a"]
    assert found["a"].config_hash == "abc"
    assert found["a"].pool.clients == 3
    await states.close()
    await runner.cleanup()


@pytest.mark.parametrize("answer", [None, {"no": "state"}], ids=["silence", "nonsense"])
async def test_no_answer(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    runner, port = await serve(answer)
    states = States(port)
    assert await states.of([POD]) == {}
    await states.close()
    await runner.cleanup()


async def test_nobody_listens() -> None:
    states = States(1)
    assert await states.of([POD]) == {}
    await states.close()


KEY = ("shop", "orders")
HERE = Activator("127.0.0.1")


async def test_the_activator_that_woke_a_proxy_says_how() -> None:
    told = {"client": "10.1.2.3:40112", "at": 7.5, "stages": {"accept": 0.0}}
    runner, port = await serve({"wake": told}, "/wakes/shop/orders")
    states = States(port)
    assert await states.wake(KEY, [HERE]) == Wake("10.1.2.3:40112", 7.5, {"accept": 0.0})
    assert await states.wake(("shop", "bills"), [HERE]) is None
    assert await states.wake(KEY, []) is None
    await states.close()
    await runner.cleanup()


async def test_of_several_wakes_the_last_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each activator remembers its own; one of them does not answer."""
    states = States()
    times = {"10.9.0.1": 7.0, "10.9.0.2": 9.0, "10.9.0.3": 8.0}

    async def get(ip: str, path: str) -> Any:
        assert path == "/wakes/shop/orders"
        wake = {"client": ip, "at": times[ip], "stages": {}} if ip in times else None
        return None if wake is None else {"wake": wake}

    monkeypatch.setattr(states, "_get", get)
    wake = await states.wake(KEY, [Activator(ip) for ip in (*times, "10.9.0.4")])
    assert wake == Wake("10.9.0.2", 9.0)
    await states.close()
