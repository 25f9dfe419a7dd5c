"""Whether the watches go on.

For each watch kopf asks the API server anew when the stream before has ended, after WATCH_SECONDS
at the latest, and again and again while nobody answers. So one that has not asked for long is
stuck or has ended; an API server that is away is no reason for a restart.
"""

import os
import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import kopf

from sluice_operator.doors.settings import WATCH_SECONDS

SILENT_SECONDS = 2 * WATCH_SECONDS

Resource = tuple[str, str, str]
"""Group, version and plural."""


class Watches:
    """When each watch last asked the API server for anything."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._asked: dict[str, float] = {}
        self._connection: kopf.ConnectionInfo | None = None
        self._session: kopf.AiohttpSession | None = None

    def begin(self, resources: Iterable[Resource], namespaces: Iterable[str]) -> None:
        """From now on they are awaited, in `namespaces`, or in the whole cluster if none is."""
        places = [f"/namespaces/{name}" for name in namespaces] or [""]
        paths = (_path(resource, place) for resource in resources for place in places)
        self._asked = dict.fromkeys(paths, self._clock())

    def are_alive(self) -> bool:
        """Whether none has been silent for SILENT_SECONDS, whatever the API server said."""
        now = self._clock()
        return all(now - since < SILENT_SECONDS for since in self._asked.values())

    async def login(self, **arguments: Any) -> kopf.AiohttpSession | None:
        """kopf's session, which tells of each request.

        kopf logs in anew when the API server refuses what it had. If there is nothing newer it
        gets the same again, by which it knows that there is no way in.
        """
        connection = _connection(**arguments)
        if connection is not None and connection != self._connection:
            self._connection, self._session = connection, self._opened(connection)
        return self._session

    def _opened(self, connection: kopf.ConnectionInfo) -> kopf.AiohttpSession:
        """As kopf itself would open it."""
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=connection.as_ssl_context()),
            headers=connection.as_http_headers(),
            proxy=connection.proxy_url,
            trust_env=connection.trust_env,
            trace_configs=[self._trace(connection.server)],
        )
        return kopf.AiohttpSession(
            aiohttp_session=session,
            server=connection.server,
            default_namespace=connection.default_namespace,
        )

    def _trace(self, server: str) -> aiohttp.TraceConfig:
        root = urlsplit(server).path.rstrip("/")

        async def asks(
            _: aiohttp.ClientSession,
            context: SimpleNamespace,
            request: aiohttp.TraceRequestStartParams,
        ) -> None:
            path = request.url.path.removeprefix(root)
            if path in self._asked:
                self._asked[path] = self._clock()

        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(asks)
        return trace


def _path(resource: Resource, place: str) -> str:
    group, version, plural = resource
    root = f"/apis/{group}" if group else "/api"
    return f"{root}/{version}{place}/{plural}"


def _connection(**arguments: Any) -> kopf.ConnectionInfo | None:
    if os.environ.get("KUBECONFIG"):
        return kopf.login_with_kubeconfig(**arguments)
    return kopf.login_with_service_account(**arguments)
