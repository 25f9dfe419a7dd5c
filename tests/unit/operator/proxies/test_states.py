"""Pods are asked for `/state`; a silent one has no answer."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from sluice_operator.decide.observed import Pod
from sluice_operator.proxies import states as module
from sluice_operator.proxies.states import States

ANSWER: dict[str, Any] = {"config": {"hash": "abc"}, "targets": [], "pool": {"clients": 3}}
POD = Pod("a", "127.0.0.1", True, False, "")


async def serve(answer: Any) -> tuple[web.AppRunner, int]:
    async def handle(_: web.Request) -> web.StreamResponse:
        if answer is None:
            await asyncio.sleep(3600)
        return web.json_response(answer)

    application = web.Application()
    application.router.add_get("/state", handle)
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
