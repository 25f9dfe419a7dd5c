"""The API server by one's own HTTPS: for what kubectl would be too slow or too dear for.

Each kubectl costs a tenth of a second of CPU, on a machine whose every millisecond is measured.
"""

import contextlib
import http.client
import json
import ssl
import tempfile
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import yaml

from sluice_testing.kubernetes import Manifest

T = TypeVar("T")
MERGE_PATCH = "application/merge-patch+json"
_ANSWER_SECONDS = 30.0
_WATCH_SECONDS = 36_000


class NoAnswer(Exception):
    """The API server said no; the message is its own."""


class Api:
    """As the one user of a kubeconfig, by his certificate."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        (cluster,), (user,) = config["clusters"], config["users"]
        self._server = urlsplit(cluster["cluster"]["server"]).netloc
        authority = b64decode(cluster["cluster"]["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as chain:
            for part in ("client-certificate-data", "client-key-data"):
                chain.write(b64decode(user["user"][part]))
            chain.flush()
            self._context.load_cert_chain(chain.name)

    def text(self, path: str) -> str:
        """What GET answers. NoAnswer if it is refused, OSError if nobody is there."""
        return self._asked("GET", path, None)

    def get(self, path: str) -> Manifest:
        answer: Manifest = json.loads(self.text(path))
        return answer

    def patch(self, path: str, change: Manifest) -> Manifest:
        """A merge patch; the object as it is then."""
        answer: Manifest = json.loads(self._asked("PATCH", path, json.dumps(change)))
        return answer

    def _asked(self, verb: str, path: str, body: str | None) -> str:
        with self._connection(_ANSWER_SECONDS) as connection:
            connection.request(verb, path, body, {"Content-Type": MERGE_PATCH} if body else {})
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        if response.status >= 300:
            raise NoAnswer(f"{verb} {path}: {response.status} {text[:500]}")
        return text

    @contextlib.contextmanager
    def _connection(self, seconds: float | None) -> Iterator[http.client.HTTPSConnection]:
        connection = http.client.HTTPSConnection(
            self._server, context=self._context, timeout=seconds
        )
        try:
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def watch(self, path: str) -> Iterator["Watch"]:
        """What there is under `path`, and every change of it while this context lasts."""
        seen = Watch()
        with self._connection(None) as connection:
            sign = "&" if "?" in path else "?"
            connection.request("GET", f"{path}{sign}watch=1&timeoutSeconds={_WATCH_SECONDS}")
            response = connection.getresponse()
            reader = threading.Thread(target=_read, args=(response, seen), daemon=True)
            reader.start()
            try:
                yield seen
            finally:
                if connection.sock is not None:
                    with contextlib.suppress(OSError):
                        connection.sock.shutdown(2)
                reader.join()


@dataclass(frozen=True)
class Event:
    """That an object was ADDED, MODIFIED or DELETED; `at` is when it was told, since the epoch."""

    at: float
    kind: str
    object: Manifest

    @property
    def uid(self) -> str:
        return str(self.object["metadata"]["uid"])


@dataclass
class Watch:
    """The events of a watch, in their order; `ended` when there will be no more."""

    events: list[Event] = field(default_factory=list)
    ended: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, told: dict[str, Any]) -> None:
        with self._changed:
            self.events.append(Event(time.time(), told["type"], told["object"]))
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def there(self) -> dict[str, Manifest]:
        """The objects that there are, by uid."""
        found: dict[str, Manifest] = {}
        for event in list(self.events):
            if event.kind == "DELETED":
                found.pop(event.uid, None)
            else:
                found[event.uid] = event.object
        return found

    def first(self, look: Callable[[Event], bool]) -> float | None:
        """When the first such event was told, in seconds since the epoch."""
        return next((event.at for event in list(self.events) if look(event)), None)

    def until(self, look: Callable[[dict[str, Manifest]], T], what: str, seconds: float) -> T:
        """The first true answer of `look` to what there is; fails after `seconds`."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (answer := look(self.there())):
                left = deadline - time.monotonic()
                if left <= 0 or self.ended:
                    state = "; the watch has ended" if self.ended else ""
                    raise AssertionError(f"not within {seconds:.0f} s: {what}{state}")
                self._changed.wait(left)
        return answer


def _read(response: http.client.HTTPResponse, seen: Watch) -> None:
    # Whoever closes the connection under it wants it to end.
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
        while line := response.readline():
            seen.add(json.loads(line))
    seen.end()
