"""As much of HTTP/1.1 (RFC 9110, RFC 9112) as probes, scrapers and the operator need.

Bytes in, a request out; an answer in, bytes out; one request per connection. Not
`http.server`: its import costs a third of what a proxy may take to start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_HEAD = 8192

_REASONS = {
    200: "OK",
    304: "Not Modified",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """Method, path without query, headers by lower-case name."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body, and headers beyond those that every answer has."""

    status: int
    body: bytes = b""
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


class BadRequest(Exception):
    """Not HTTP, or too much of it; `status` is what to answer."""

    def __init__(self, status: int) -> None:
        super().__init__(_REASONS[status])
        self.status = status


def text(status: int, line: str) -> Answer:
    return Answer(status, f"{line}\n".encode())


def parse_request(data: bytes) -> Request | None:
    """The request whose head `data` begins with; None while it is incomplete."""
    head, end, _ = data.partition(b"\r\n\r\n")
    if len(head) > MAX_HEAD:
        raise BadRequest(431)
    if not end:
        return None
    # RFC 9112 2.2: parse as a superset of US-ASCII, never as UTF-8.
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[1].startswith("/"):
        raise BadRequest(400)
    return Request(words[0], words[1].partition("?")[0], dict(_header(line) for line in lines[1:]))


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    # RFC 9112 5.1: no white space between name and colon.
    if not colon or not name or name != name.strip():
        raise BadRequest(400)
    return name.lower(), value.strip()


def render(answer: Answer) -> bytes:
    """The answer as it goes out."""
    headers = {
        "Content-Type": answer.content_type,
        "Content-Length": str(len(answer.body)),
        "Connection": "close",
        "Cache-Control": "no-store",
        **answer.headers,
    }
    if answer.status == 304:
        # RFC 9110 15.4.5: no content, and no length of one.
        del headers["Content-Length"], headers["Content-Type"]
    lines = [f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + answer.body


def matches(if_none_match: str, etag: str) -> bool:
    """Whether an If-None-Match header names `etag` (RFC 9110 13.1.2: weak comparison)."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags
