"""Probes and metrics."""

import aiohttp

from sluice_operator.doors.http import Checks, serve


async def test_probes_and_metrics() -> None:
    ready = [False]
    runner = await serve(Checks(alive=lambda: True, ready=lambda: ready[0]), 0)
    # With port 0 each address family gets a port of its own.
    port = next(address[1] for address in runner.addresses if len(address) == 2)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        assert (await session.get("/healthz")).status == 200
        assert (await session.get("/readyz")).status == 503
        ready[0] = True
        assert (await session.get("/readyz")).status == 200
        answer = await session.get("/metrics")
        assert "sluice_operator_queue_waiting" in await answer.text()
        assert answer.headers["Content-Type"].startswith("text/plain")
    await runner.cleanup()
