"""A small API server: EndpointSlices that are listed and watched, scales that are patched.

It stands where the real one cannot fail on demand: hang, refuse, reset, forget the past (410).
Real TLS, real HTTP/1.1, chunks and pages as the real one makes them.
"""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sluice_testing.certificates import Authority

Key = tuple[str, str]
Manifest = dict[str, Any]
SLICES = "/apis/discovery.k8s.io/v1/"
TOKEN = "a-token"
ACTIVATOR = "10.0.0.9"


def registration(
    name: str, port: int, *, namespace: str = "shop", uid: str = "uid-1", created: str = "2026",
    replicas: str = "1", trouble: str = "", serving: bool = True,
) -> Manifest:  # fmt: skip
    """The slice that the operator writes for a proxy; of its activator, which is ACTIVATOR."""
    told = {"uid": uid, "replicas": replicas, "trouble": trouble}
    return {
        "metadata": {
            "namespace": namespace,
            "name": f"{name}-activator",
            "creationTimestamp": created,
            "labels": _labels(name, "sluice.dev"),
            "annotations": {f"sluice.dev/{key}": text for key, text in told.items() if text},
        },
        "addressType": "IPv4",
        "endpoints": [endpoint(ACTIVATOR, "terminating", serving=serving)],
        "ports": [{"name": "postgres", "port": port, "protocol": "TCP"}],
    }


def pods(name: str, *, namespace: str = "shop", **conditions: str) -> Manifest:
    """The slice of the Service: `pods("orders", ready="10.0.0.1", terminating="10.0.0.2")`."""
    return {
        "metadata": {
            "namespace": namespace,
            "name": f"{name}-abcde",
            "labels": _labels(name, "endpointslice-controller.k8s.io"),
        },
        "addressType": "IPv4",
        "endpoints": [
            endpoint(address, condition) for condition, address in conditions.items() if address
        ],
        "ports": [{"name": "postgres", "port": 5432, "protocol": "TCP"}],
    }


def endpoint(address: str, condition: str, *, serving: bool = False) -> dict[str, Any]:
    """`condition`: ready, unready, terminating."""
    return {
        "addresses": [address],
        "conditions": {
            "ready": condition == "ready",
            "serving": serving or condition == "ready",
            "terminating": condition == "terminating",
        },
    }


def _labels(name: str, manager: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": "sluice",
        "app.kubernetes.io/name": "sluice-proxy",
        "app.kubernetes.io/instance": name,
        "kubernetes.io/service-name": name,
        "endpointslice.kubernetes.io/managed-by": manager,
    }


@dataclass
class Scale:
    """Of a Deployment. `spec` may lack `replicas`, as the real one's does at zero."""

    version: int = 1
    replicas: int = 0

    def document(self) -> Manifest:
        spec = {"replicas": self.replicas} if self.replicas else {}
        return {
            "kind": "Scale",
            "metadata": {"resourceVersion": str(self.version)},
            "spec": spec,
        }


@dataclass
class Fault:
    """What scales answer instead: a status, `hang` or `reset`; `left` times, -1 for ever."""

    kind: str
    left: int = -1
    verb: str = ""


@dataclass
class SlicesApi:
    """`folder` becomes a service account's mount. Start with `running()`.

    `on_patch(proxy, replicas)` is called, on another thread, for each patch that was taken;
    `before_patch` before each is looked at. `refusals` are what requests for slices are answered
    if a part of their path is as said: {"watch=": 500, "/namespaces/garden/": 403}.
    """

    folder: Path
    authority: Authority = field(default_factory=Authority)
    page: int = 500
    on_patch: Callable[[Key, int], None] = lambda proxy, replicas: None
    before_patch: Callable[[], None] = lambda: None
    scales: dict[Key, Scale] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    fault: Fault | None = None
    refusals: dict[str, int] = field(default_factory=dict)
    port: int = 0
    token: str = TOKEN

    def __post_init__(self) -> None:
        self.slices: dict[Key, Manifest] = {}
        self._changed = threading.Condition()
        self._log: list[tuple[int, str, Manifest]] = []
        self._version = 100
        self._oldest = 0
        self._watches = 0
        self._server: ThreadingHTTPServer | None = None
        self._sockets: set[socket.socket] = set()
        leaf = self.authority.issue("localhost", "127.0.0.1")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "ca.crt").write_text(self.authority.pem)
        (self.folder / "token").write_text(TOKEN)
        (self.folder / "server.pem").write_text(leaf.chain + leaf.private_key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.folder / "server.pem")

    @property
    def environment(self) -> dict[str, str]:
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}

    # Slices

    def put(self, manifest: Manifest) -> None:
        """Creates or changes a slice."""
        with self._changed:
            key = (manifest["metadata"]["namespace"], manifest["metadata"]["name"])
            kind = "MODIFIED" if key in self.slices else "ADDED"
            self._record(kind, key, manifest)

    def delete(self, namespace: str, name: str) -> None:
        with self._changed:
            self._record("DELETED", (namespace, name), self.slices.pop((namespace, name)))

    def _record(self, kind: str, key: Key, manifest: Manifest) -> None:
        self._version += 1
        metadata = {**manifest["metadata"], "resourceVersion": str(self._version)}
        manifest = {**manifest, "metadata": metadata}
        if kind != "DELETED":
            self.slices[key] = manifest
        self._log.append((self._version, kind, manifest))
        self._changed.notify_all()

    def forget_the_past(self) -> None:
        """Watches of anything older than now are answered with 410, those that run end so."""
        with self._changed:
            self._version += 1
            self._oldest = self._version
            self._log.clear()
            self._changed.notify_all()

    def end_watches(self) -> None:
        """As the real one does every few minutes."""
        with self._changed:
            self._watches += 1
            self._changed.notify_all()

    @property
    def watches(self) -> int:
        """Which time it is that watches run; another number ends those that do."""
        return self._watches

    def after(self, version: int, seconds: float) -> list[tuple[int, str, Manifest]] | None:
        """What happened after `version`, None if that is not known any more; waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._version > version, seconds)
            if version < self._oldest:
                return None
            return [event for event in self._log if event[0] > version]

    def listed(self) -> tuple[int, list[Manifest]]:
        with self._changed:
            return self._version, list(self.slices.values())

    # Scales

    def patch(self, proxy: Key, patch: Manifest) -> tuple[int, Manifest]:
        self.before_patch()
        with self._changed:
            scale = self.scales[proxy]
            if patch["metadata"]["resourceVersion"] != str(scale.version):
                return 409, {"message": "the object has been modified"}
            self.scales[proxy] = Scale(scale.version + 1, patch["spec"]["replicas"])
        threading.Thread(
            target=self.on_patch, args=(proxy, patch["spec"]["replicas"]), daemon=True
        ).start()
        return 200, self.scales[proxy].document()

    def asked(self, verb: str, part: str = "/scale") -> int:
        """How many such requests came."""
        return sum(1 for v, path in list(self.requests) if v == verb and part in path)

    def fail(self, kind: str, times: int = -1, verb: str = "") -> None:
        """From now on scales answer a status, `hang` or `reset`; nothing of it if `kind` is ""."""
        self.fault = Fault(kind, times, verb) if kind else None

    def take_fault(self, verb: str) -> str:
        """What this request on a scale meets."""
        fault = self.fault
        if fault is None or fault.left == 0 or fault.verb not in ("", verb):
            return ""
        fault.left -= 1
        return fault.kind

    # The server

    def start(self) -> None:
        """Listens, on the same port as before if there was one."""
        api = self

        class Handler(_Handler):
            server_api = api

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuses connections, and cuts those that are there."""
        assert self._server is not None
        self.end_watches()
        self._server.shutdown()
        self._server.server_close()
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def running(self) -> Iterator["SlicesApi"]:
        self.start()
        try:
            yield self
        finally:
            self.stop()

    @contextlib.contextmanager
    def connection(self, raw: socket.socket) -> Iterator[ssl.SSLSocket]:
        """Secured, and cut when the server stops."""
        self._sockets.add(raw)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.settimeout(10)
            with self._context.wrap_socket(raw, server_side=True) as secured:
                secured.settimeout(None)
                self._sockets.add(secured)
                yield secured
        finally:
            self._sockets = {sock for sock in self._sockets if sock.fileno() >= 0}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_api: SlicesApi

    def handle(self) -> None:
        with (
            contextlib.suppress(OSError, ValueError),
            self.server_api.connection(self.request) as s,
        ):
            self.rfile = s.makefile("rb")
            self.wfile = s.makefile("wb", buffering=0)  # type: ignore[assignment]
            super().handle()

    def log_message(self, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        if self._refused():
            return
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path.startswith(SLICES):
            self._slices(query)
            return
        scale = self.server_api.scales.get(_proxy(url.path))
        if scale is None:
            self._answer(404, {"message": "deployments.apps not found"})
        elif not self._faulty():
            self._answer(200, scale.document())

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Content-Type"] == "application/merge-patch+json"
        if not self._refused() and not self._faulty():
            self._answer(*self.server_api.patch(_proxy(urlsplit(self.path).path), body))

    def _refused(self) -> bool:
        self.server_api.requests.append((self.command, self.path))
        if self.headers["Authorization"] == f"Bearer {self.server_api.token}":
            return False
        self._answer(401, {"message": "Unauthorized"})
        return True

    def _faulty(self) -> bool:
        kind = self.server_api.take_fault(self.command)
        if kind.isdecimal():
            self._answer(int(kind), {"message": "as it was told"})
        elif kind == "hang":
            time.sleep(30)
        if kind in ("reset", "hang"):
            self.close_connection = True
        return bool(kind)

    def _slices(self, query: dict[str, str]) -> None:
        refusals = [s for part, s in self.server_api.refusals.items() if part in self.path]
        if refusals:
            self._answer(refusals[0], {"message": "as it was told"})
        elif "watch" in query:
            self._watch(query)
        else:
            self._list(query)

    def _list(self, query: dict[str, str]) -> None:
        version, slices = self.server_api.listed()
        mine = [item for item in slices if self._in_scope(item)]
        start = int(query.get("continue", "0"))
        end = start + min(int(query["limit"]), self.server_api.page)
        metadata = {"resourceVersion": str(version)}
        if end < len(mine):
            metadata["continue"] = str(end)
        self._answer(200, {"metadata": metadata, "items": mine[start:end]})

    def _in_scope(self, item: Manifest) -> bool:
        namespace = item["metadata"]["namespace"]
        return "/namespaces/" not in self.path or f"/namespaces/{namespace}/" in self.path

    def _watch(self, query: dict[str, str]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        version, turn = int(query["resourceVersion"]), self.server_api.watches
        while self.server_api.watches == turn:
            events = self.server_api.after(version, 0.2)
            if events is None:
                self._event("ERROR", {"kind": "Status", "code": 410, "message": "too old"})
                break
            for at, kind, manifest in events:
                version = at
                if self._in_scope(manifest):
                    self._event(kind, manifest)
            if not events:
                bookmark = {"metadata": {"resourceVersion": str(version)}}
                self._event("BOOKMARK", bookmark)
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, kind: str, item: Manifest) -> None:
        """In two chunks: a line need not be one."""
        line = json.dumps({"type": kind, "object": item}).encode() + b"\n"
        for piece in (line[:20], line[20:]):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _answer(self, status: int, document: Manifest) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _proxy(path: str) -> Key:
    """Whose scale it is."""
    parts = path.split("/")
    return parts[5], parts[7].removesuffix("-proxy")
