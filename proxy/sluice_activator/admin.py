"""The HTTP port: /healthz, /readyz, /metrics and /wakes/<namespace>/<name>.

Served by the event loop itself: a loop that hangs answers no probe.
"""

import asyncio
import contextlib
import json
from typing import Final, Protocol

from sluice_activator.metrics import Metrics
from sluice_activator.slices import Key
from sluice_proxy.admin.http import (
    MAX_HEAD,
    Answer,
    BadRequest,
    Request,
    parse_request,
    render,
    text,
)

_WITHIN: Final = 5.0
_WAKES: Final = "/wakes/"
_PATHS: Final = "not found: there are /healthz, /readyz, /metrics, /wakes/<namespace>/<name>"


class Views(Protocol):
    """What is asked of the activator."""

    metrics: Metrics

    @property
    def unready(self) -> str:
        """Why no client should be sent here, or an empty string."""
        ...

    def wake(self, proxy: Key) -> dict[str, object] | None:
        """What /wakes shows; None for a proxy that nobody knows."""
        ...


def answer(request: Request, views: Views) -> Answer:
    """The answer to any request."""
    if request.method != "GET":
        return Answer(405, b"GET only\n", headers={"Allow": "GET"})
    if request.path == "/healthz":
        return text(200, "ok")
    if request.path == "/readyz":
        return text(503, views.unready) if views.unready else text(200, "ok")
    if request.path == "/metrics":
        return Answer(200, *views.metrics.exposition(request.headers.get("accept", "")))
    if request.path.startswith(_WAKES):
        return _wakes(request.path.removeprefix(_WAKES), views)
    return text(404, _PATHS)


def _wakes(path: str, views: Views) -> Answer:
    namespace, _, name = path.partition("/")
    document = views.wake((namespace, name))
    if document is None:
        return text(404, "no such proxy is registered here")
    return Answer(200, json.dumps(document).encode() + b"\n", "application/json")


async def serve(host: str, port: int, views: Views) -> asyncio.Server:
    """Listens; an empty host is every address. Raises OSError."""

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # An OSError here: the peer went, or took too long.
        with contextlib.suppress(OSError, EOFError), contextlib.closing(writer):
            async with asyncio.timeout(_WITHIN):
                writer.write(render(await _reply(reader, views)))
                await writer.drain()

    return await asyncio.start_server(on_connection, host or None, port, limit=MAX_HEAD)


async def _reply(reader: asyncio.StreamReader, views: Views) -> Answer:
    try:
        request = parse_request(await reader.readuntil(b"\r\n\r\n"))
        assert request is not None
    except asyncio.LimitOverrunError:
        return text(431, "Request Header Fields Too Large")
    except BadRequest as error:
        return text(error.status, str(error))
    return answer(request, views)
