"""`/healthz`, `/readyz` and `/metrics`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Check = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Checks:
    """`alive`: a restart would not help. `ready`: events are coming in."""

    alive: Check
    ready: Check


async def serve(checks: Checks, port: int) -> web.AppRunner:
    """Listens on `port` of every address; the caller cleans the runner up."""
    application = web.Application()
    application.router.add_get("/healthz", _answer(checks.alive))
    application.router.add_get("/readyz", _answer(checks.ready))
    application.router.add_get("/metrics", _metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner


def _answer(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        good = check()
        return web.Response(status=200 if good else 503, text="ok\n" if good else "not ok\n")

    return answer


async def _metrics(_: web.Request) -> web.Response:
    headers = {"Content-Type": CONTENT_TYPE_LATEST}
    return web.Response(body=generate_latest(), headers=headers)
