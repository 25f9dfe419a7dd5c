"""What each path answers."""

import hashlib
import json
from collections.abc import Callable
from typing import Protocol, TypeVar

from sluice_proxy.admin.http import Answer, Request, matches, text
from sluice_proxy.admin.views import Gauges, Views
from sluice_proxy.metrics import Counters

T = TypeVar("T")


class LoopSilent(Exception):
    """The event loop does not answer: it hangs, or is closed."""


class Ask(Protocol):
    """Runs a question on the event loop's thread; raises LoopSilent."""

    def __call__(self, question: Callable[[], T], /) -> T: ...


def answer(request: Request, views: Views, ask: Ask) -> Answer:
    """The answer to any request; an event loop that hangs is a 503 everywhere."""
    page = PAGES.get(request.path)
    if page is None:
        return text(404, "not found: there are " + ", ".join(PAGES))
    if request.method != "GET":
        return Answer(405, b"GET only\n", headers={"Allow": "GET"})
    try:
        return page(request, views, ask)
    except LoopSilent:
        return text(503, "the event loop does not answer")


def _healthz(request: Request, views: Views, ask: Ask) -> Answer:
    return text(200, ask(lambda: "ok"))


def _readyz(request: Request, views: Views, ask: Ask) -> Answer:
    reason = ask(views.ready)
    return text(503, reason) if reason else text(200, "ok")


def _state(request: Request, views: Views, ask: Ask) -> Answer:
    state = json.dumps(ask(views.state), sort_keys=True, separators=(",", ":")).encode()
    etag = f'"{hashlib.sha256(state).hexdigest()[:32]}"'
    if matches(request.headers.get("if-none-match", ""), etag):
        return Answer(304, headers={"ETag": etag})
    return Answer(200, state + b"\n", "application/json", {"ETag": etag})


def _metrics(request: Request, views: Views, ask: Ask) -> Answer:
    def snapshot() -> tuple[Counters, Gauges]:
        return views.counters.copy(), views.gauges()

    counters, gauges = ask(snapshot)
    # Here and not above: prometheus_client takes as long to import as all the rest.
    from sluice_proxy.admin.definitions import exposition

    return Answer(200, *exposition(counters, gauges, request.headers.get("accept", "")))


PAGES: dict[str, Callable[[Request, Views, Ask], Answer]] = {
    "/healthz": _healthz,
    "/readyz": _readyz,
    "/state": _state,
    "/metrics": _metrics,
}
