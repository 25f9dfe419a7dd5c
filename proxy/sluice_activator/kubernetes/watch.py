"""Follows EndpointSlices: list, watch from there, and list anew when the past is gone (410)."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from sluice_activator.kubernetes.http import FAILURES, ApiError, Ask, Http
from sluice_activator.slices import SELECTOR

log = logging.getLogger(__name__)

_PAGE: Final = 500
_HEAD_WITHIN: Final = 10.0
_PAGE_WITHIN: Final = 60.0
# Seconds after which the API server ends a watch, drawn anew each time; where it is soon to be
# noticed that the account has gone: a watch that lasts does not tell.
_WATCH_SECONDS: Final = (240, 300)
_SHORT_SECONDS: Final = (10, 15)
_GONE: Final = 410
# No account any more, no right to list there, nothing there that could be listed.
_UNSEEN: Final = (401, 403, 404)
# Refusals in a row, of whatever kind, after which the past is given up: a resourceVersion may
# also be one from the future, of a cluster that was restored.
_REFUSALS: Final = 3
_BACKOFF: Final = (0.1, 5.0)

Manifest = dict[str, Any]


class Gone(Exception):
    """The resourceVersion is too old: what happened since is not to be had any more."""


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told. `on_list(manifests)` gets each page of a list.

    `on_listed(namespace, seen)` gets all (namespace, name) at the end of a list, `on_event(type,
    manifest)` what the watch says: ADDED, MODIFIED, DELETED. `on_unseen(namespace, status)` is
    called when that may not be listed, or is not there, until it is listed again.
    """

    on_list: Callable[[list[Manifest]], None]
    on_listed: Callable[[str, set[tuple[str, str]]], None]
    on_event: Callable[[str, Manifest], None]
    on_unseen: Callable[[str, int], None]


class Watch:
    """All slices of proxies in `namespace`, or everywhere if it is empty.

    Each request lasts for minutes, or for seconds if it is to be `short`.
    """

    def __init__(self, http: Http, namespace: str, told: Told):
        self._http = http
        self._namespace = namespace
        self._told = told
        self._version = ""
        self._failures = 0
        self._refusals = 0
        self.short = False

    async def run(self) -> None:
        """For ever; an API server that is away is asked again and again."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._follow()
                self._failures = self._refusals = 0
                # The API server ends each watch now and then; nothing is missed meanwhile.
                await asyncio.sleep(_BACKOFF[0])
            except Gone:
                self._version = ""
            except FAILURES as error:
                self._on_refusal(error.status if isinstance(error, ApiError) else 0)
                await self._back_off(error)
            except Exception:
                # What cannot be understood is told, and asked for anew: nobody else would.
                log.exception("watch failed", extra={"namespace": self._namespace})
                self._version = ""
                await self._back_off(None)

    async def _list(self) -> None:
        seen: set[tuple[str, str]] = set()
        page = await self._page("")
        while True:
            items = page.get("items") or []
            seen.update((i["metadata"]["namespace"], i["metadata"]["name"]) for i in items)
            self._told.on_list(items)
            metadata = page["metadata"]
            # Before the next page comes, this one may go.
            del items, page
            if not metadata.get("continue"):
                break
            page = await self._page(metadata["continue"])
        self._told.on_listed(self._namespace, seen)
        self._version = metadata["resourceVersion"]
        # Failures count on: where lists work and watches do not, lists must not come in herds.
        self._refusals = 0
        log.info("slices listed", extra={"namespace": self._namespace, "slices": len(seen)})

    async def _page(self, token: str) -> Manifest:
        query = {"limit": str(_PAGE), **({"continue": token} if token else {})}
        reply = await self._http.ask(Ask("GET", self._path(query)), _PAGE_WITHIN)
        if reply.status == _GONE:
            raise Gone
        if reply.status != 200:
            raise ApiError(f"slices cannot be listed: status {reply.status}", reply.status)
        return dict(json.loads(reply.body))

    async def _follow(self) -> None:
        lasting = _SHORT_SECONDS if self.short else _WATCH_SECONDS
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(random.randint(*lasting)),
        }
        try:
            async with self._http.stream(Ask("GET", self._path(query)), _HEAD_WITHIN) as pieces:
                async for line in _lines(pieces):
                    self._take(json.loads(line))
        except ApiError as error:
            if error.status == _GONE:
                raise Gone from None
            raise

    def _take(self, event: Manifest) -> None:
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            if item.get("code") == _GONE:
                raise Gone
            raise ApiError(f"the watch ends: {item.get('message')}", item.get("code") or 0)
        self._failures = self._refusals = 0
        self._version = item["metadata"]["resourceVersion"]
        if kind != "BOOKMARK":
            self._told.on_event(kind, item)

    def _on_refusal(self, status: int) -> None:
        """0: the API server was not there at all, which says nothing of what it would say."""
        self._refusals = self._refusals + 1 if status else 0
        if status in _UNSEEN:
            self._told.on_unseen(self._namespace, status)
        if status in _UNSEEN or self._refusals >= _REFUSALS:
            self._version = ""

    async def _back_off(self, error: BaseException | None) -> None:
        first, most = _BACKOFF
        pause = min(most, first * 2**self._failures)
        if self._failures == 0:
            details = {"namespace": self._namespace, "error": str(error)}
            log.warning("the API server cannot be asked", extra=details)
        self._failures = min(self._failures + 1, 10)
        # Some randomness: not everybody comes back at once.
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    def _path(self, query: dict[str, str]) -> str:
        place = f"/namespaces/{self._namespace}" if self._namespace else ""
        text = urlencode({"labelSelector": SELECTOR, **query})
        return f"/apis/discovery.k8s.io/v1{place}/endpointslices?{text}"


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A watch says one JSON document in each line, of any length."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line:
                yield line
