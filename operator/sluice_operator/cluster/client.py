"""A small adapter over the official client: plain manifests in, plain manifests out."""

import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from sluice_operator import metrics, names
from sluice_operator.cluster.errors import ApiError, Gone, Unavailable, api_error
from sluice_operator.cluster.kinds import KINDS

Manifest = dict[str, Any]

REQUEST_SECONDS = 20.0

_OURS = {"fieldManager": names.FIELD_MANAGER}
_SCALES = {"fieldManager": f"{names.FIELD_MANAGER}-scale"}
"""Another one: what a server-side apply of ours leaves out is not taken from this one."""


async def connect() -> "Client":
    """A client by KUBECONFIG if it is set, by the pod's ServiceAccount otherwise."""
    configuration = Configuration()
    if os.environ.get("KUBECONFIG"):
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration
        )
    else:
        config.load_incluster_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration
        )
    return Client(ApiClient(configuration))


class Client:
    """Reads and writes objects; raises ApiError and its kinds, nothing of the library's."""

    def __init__(self, api: ApiClient):
        self._api = api

    async def close(self) -> None:
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(
        self, kind: str, namespace: str, name: str, seconds: float = REQUEST_SECONDS
    ) -> Manifest | None:
        """The object, or None if there is none."""
        path = KINDS[kind].path(namespace, name)
        try:
            return await self._request("GET", path, seconds=seconds)
        except Gone:
            return None

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str]) -> list[Manifest]:
        """The objects that carry all of `labels`, with kind and apiVersion filled in."""
        return [*(await self.list_at(kind, namespace, labels))[0]]

    async def list_at(
        self, kind: str, namespace: str, labels: Mapping[str, str]
    ) -> tuple[Sequence[Manifest], str]:
        """As `list`, and the version from which a watch goes on."""
        where, query = KINDS[kind], {"labelSelector": _selector(labels)}
        found = await self._request("GET", where.path(namespace), query)
        version = str(found["metadata"]["resourceVersion"])
        known = {"kind": kind, "apiVersion": where.api_version}
        return [{**item, **known} for item in found["items"]], version

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply: `manifest` holds exactly the fields that are ours."""
        return await self._apply(manifest, "")

    async def apply_status(self, manifest: Manifest) -> Manifest:
        return await self._apply(manifest, "status")

    async def create(self, manifest: Manifest) -> Manifest:
        """Raises Conflict if an object of this name is there."""
        path = KINDS[manifest["kind"]].path(manifest["metadata"]["namespace"])
        return await self._request("POST", path, _OURS, manifest, "application/json")

    async def replace(self, manifest: Manifest, seconds: float = REQUEST_SECONDS) -> Manifest:
        """Raises Conflict if `metadata.resourceVersion` is not that of the object any more."""
        path = self._path(manifest)
        return await self._request("PUT", path, _OURS, manifest, "application/json", seconds)

    async def delete(self, manifest: Manifest) -> None:
        """Deletes this very object: not one that took its name meanwhile."""
        path = self._path(manifest)
        options = {"preconditions": {"uid": manifest["metadata"]["uid"]}}
        try:
            await self._request("DELETE", path, body=options, content_type="application/json")
        except Gone:
            return

    async def merge(self, kind: str, namespace: str, name: str, change: Manifest) -> Manifest:
        """Changes the fields of `change` and no other (RFC 7386)."""
        path = KINDS[kind].path(namespace, name)
        return await self._request("PATCH", path, _OURS, change, "application/merge-patch+json")

    async def scale(self, manifest: Mapping[str, Any], replicas: int) -> Manifest:
        """Gives `manifest`, a Deployment as it was read, so many pods; the answer is its Scale.

        To zero only if nobody has written the Deployment since; else raises Conflict.
        """
        change: Manifest = {"spec": {"replicas": replicas}}
        if replicas == 0:
            change["metadata"] = {"resourceVersion": manifest["metadata"]["resourceVersion"]}
        path = self._path(manifest, "scale")
        return await self._request("PATCH", path, _SCALES, change, "application/merge-patch+json")

    async def watch(
        self, kind: str, namespace: str, labels: Mapping[str, str], version: str, seconds: int
    ) -> AsyncIterator[Manifest]:
        """Events from `version` on, for so many seconds at most; raises ApiError."""
        query = {
            "labelSelector": _selector(labels),
            "watch": "1",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        with _no_answer():
            answer = await self._call(seconds + 5, "GET", KINDS[kind].path(namespace), query)
            try:
                if answer.status != 200:
                    _answer(answer.status, await answer.read())
                async for line in answer.response.content:
                    yield json.loads(line)
            finally:
                answer.response.close()

    async def is_served(self, kind: str) -> bool:
        """Whether the API server knows the kind at all."""
        where = KINDS[kind]
        try:
            found = await self._request("GET", f"/apis/{where.api_version}")
        except Gone:
            return False
        return any(item["name"] == where.plural for item in found["resources"])

    async def _apply(self, manifest: Manifest, part: str) -> Manifest:
        return await self._request(
            "PATCH",
            self._path(manifest, part),
            # Controllers force: two owners of one field of ours would fight for ever.
            {**_OURS, "force": "true"},
            manifest,
            "application/apply-patch+yaml",
        )

    def _path(self, manifest: Mapping[str, Any], part: str = "") -> str:
        metadata = manifest["metadata"]
        return KINDS[manifest["kind"]].path(metadata["namespace"], metadata["name"], part)

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = "",
        seconds: float = REQUEST_SECONDS,
    ) -> Manifest:
        with _no_answer():
            answer = await self._call(seconds, method, path, query, body, content_type)
            content = await answer.read()
        return _answer(answer.status, content)

    async def _call(
        self,
        seconds: float,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = "",
    ) -> Any:
        """The answer as the library gives it, its content yet to be read."""
        headers = {"Accept": "application/json"}
        if content_type:
            headers["Content-Type"] = content_type
        metrics.REQUESTS.labels(method).inc()
        call = await self._api.param_serialize(
            method,
            f"{path}?{urlencode(query)}" if query else path,
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        return await self._api.call_api(*call, _request_timeout=seconds)


@contextlib.contextmanager
def _no_answer() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise Unavailable(0, "NoAnswer", str(error) or type(error).__name__) from error


def _selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _answer(status: int, content: bytes) -> Manifest:
    try:
        document = json.loads(content)
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    if 200 <= status < 300:
        return document
    raise _error(status, document)


def _error(status: int, document: Manifest) -> ApiError:
    return api_error(status, document.get("reason", ""), document.get("message", "no reason given"))
