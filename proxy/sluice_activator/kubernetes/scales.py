"""The scale of a proxy's Deployment: read, and patched where it is zero."""

import json
from collections.abc import Mapping
from typing import Any, Final

from sluice_activator.kubernetes.http import ApiError, Ask, Http, Reply
from sluice_activator.slices import Key

# Seconds: the next look comes anyway.
_WITHIN: Final = 5.0
_CONFLICT: Final = 409


class Scales:
    """The Deployment of proxy `name` is `name`-proxy."""

    def __init__(self, http: Http):
        self._http = http

    async def read(self, proxy: Key) -> dict[str, Any]:
        """The Scale as the API server writes it. Raises ApiError."""
        return _document(await self._http.ask(Ask("GET", _path(proxy)), _WITHIN))

    async def patch(self, proxy: Key, patch: Mapping[str, Any]) -> bool:
        """Whether it was taken; not, if somebody was faster. Raises ApiError."""
        path = f"{_path(proxy)}?fieldManager=sluice-activator"
        ask = Ask("PATCH", path, json.dumps(patch).encode(), "application/merge-patch+json")
        reply = await self._http.ask(ask, _WITHIN)
        if reply.status == _CONFLICT:
            return False
        _document(reply)
        return True


def _path(proxy: Key) -> str:
    return f"/apis/apps/v1/namespaces/{proxy[0]}/deployments/{proxy[1]}-proxy/scale"


def _document(reply: Reply) -> dict[str, Any]:
    try:
        document = json.loads(reply.body)
    except ValueError:
        document = {}
    if reply.status == 200 and "metadata" in document:
        return dict(document)
    said = document.get("message") or f"status {reply.status}"
    raise ApiError(f"the Kubernetes API refuses: {said}", reply.status)
