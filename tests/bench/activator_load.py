"""`make bench-activator`: what thousands of proxies and of held clients cost one activator.

A real `python -m sluice_activator` with a stand-in for the API server: PROXIES are registered,
each with its port; CLIENTS are held, as many for each proxy as one may have; then pods that
answer each with a byte let them all in. RSS and CPU are the process's, as /proc tells them.
Prints a table, writes build/bench-activator.json, exits with 1 where a goal is missed.
"""

import asyncio
import contextlib
import json
import os
import platform
import resource
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sluice_activator import decide
from sluice_activator.slices import PORTS
from sluice_proxy.wire import proxy_header
from sluice_testing.activating import NAMESPACE, ActivatorProcess, addresses
from sluice_testing.postgres import free_port
from sluice_testing.proxy import wait_until
from sluice_testing.raw import startup
from sluice_testing.slices_api import Scale, SlicesApi, endpoint, pods, registration

PROXIES = int(os.environ.get("BENCH_ACTIVATOR_PROXIES", "3000"))
CLIENTS = int(os.environ.get("BENCH_ACTIVATOR_CLIENTS", "3000"))
REST_SECONDS = float(os.environ.get("BENCH_ACTIVATOR_REST", "20"))
# A client is held for 30 seconds: all of it has to fit in.
HELD_SECONDS = 10.0
HELD_GOAL_KIB = 10.0
UID = "0b51ff4e-6a30-4a0e-8f0e-0d6a2d7f2f11"
ROOT = Path(__file__).resolve().parents[2]
STARTUP = startup(user="app", database="app", application_name="bench")
MEGABYTES = 512
_TICKS = os.sysconf("SC_CLK_TCK")


def rss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class Meter:
    """RSS, CPU and time of one stage, beside what they were before it."""

    def __init__(self, activator: ActivatorProcess):
        self._pid = activator.pid
        self.again()

    def again(self) -> None:
        self._rss, self._cpu = rss_kib(self._pid), cpu_seconds(self._pid)
        self._began = time.monotonic()

    def since(self, rss: int, cpu: float) -> None:
        self._rss, self._cpu = rss, cpu

    def read(self, title: str, count: int = 0) -> dict[str, float]:
        """Since the last `again`; `count` clients or proxies came in that time."""
        rss = rss_kib(self._pid)
        found = {
            "rss_mib": round(rss / 1024, 1),
            "seconds": round(time.monotonic() - self._began, 2),
            "cpu_seconds": round(cpu_seconds(self._pid) - self._cpu, 2),
        }
        if count:
            found["rss_kib_each"] = round((rss - self._rss) / count, 2)
        each = f"{found['rss_kib_each']:6.2f}" if count else "     -"
        print(
            f"{title:40} | {found['rss_mib']:7.1f} | {each} | {found['seconds']:6.2f} |"
            f" {found['cpu_seconds']:6.2f}",
            flush=True,
        )
        self.again()
        return found


def free_ports() -> list[int]:
    """PROXIES of those that proxies may have; others may use some on this machine."""
    found: list[int] = []
    for port in PORTS:
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == PROXIES:
            return found
    sys.exit(f"{PROXIES} ports are needed, {len(found)} are free")


def register_all(api: SlicesApi, ports: list[int]) -> None:
    """Of each proxy the operator's slice, and the Service's own, in which nobody is."""
    for port in ports:
        name = f"proxy-{port}"
        api.put(registration(name, port, uid=UID, created=f"2026-{port}"))
        api.put(pods(name))
        api.scales[(NAMESPACE, name)] = Scale()


class Pod:
    """Answers each client with a byte, and one that says `stream` with MEGABYTES of them."""

    def __init__(self, address: str, port: int):
        self._place = (address, port)
        self._loop = asyncio.new_event_loop()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._meet, *self._place, backlog=4096), self._loop
        ).result()
        yield
        self._loop.call_soon_threadsafe(server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        thread.join()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            fixed = await reader.readexactly(16)
            rest = await reader.readexactly(proxy_header.header_length(fixed) - 16)
            writer.write(proxy_header.answer(UID, proxy_header.parse(fixed + rest, UID).nonce))
            await reader.readexactly(len(STARTUP))
            writer.write(b"R")
            if await reader.read(6) == b"stream":
                piece = bytes(1 << 20)
                for _ in range(MEGABYTES):
                    writer.write(piece)
                    await writer.drain()
            await reader.read()
        writer.close()


def visit(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), 30)
    client.sendall(STARTUP)
    return client


def held(activator: ActivatorProcess, count: int) -> None:
    def enough() -> bool:
        return activator.metrics()["sluice_activator_held"] == count

    wait_until(enough, f"{count} are held", 30)


def measure(api: SlicesApi, folder: Path) -> dict[str, Any]:
    pod_port = free_port()
    print(f"{'':40} | RSS MiB | KiB ea | s      | CPU s")
    empty = start(api, folder / "empty", pod_port)
    results: dict[str, Any] = {"empty": Meter(empty).read("no proxy")}
    empty.finish()
    ports = free_ports()
    places = [ports[number // decide.HELD_MAX] for number in range(CLIENTS)]
    results["held_apart"] = held_apart(api, folder / "few", pod_port, places)
    register_all(api, ports)
    activator = start(api, folder / "full", pod_port)
    activator.wait_until_ready()
    meter = Meter(activator)
    # Against an activator without any: this one has done all that by now.
    meter.since(int(results["empty"]["rss_mib"] * 1024), 0.0)
    results["registered"] = meter.read(f"{PROXIES} proxies, listed at the start", PROXIES)
    time.sleep(REST_SECONDS)
    results["rest"] = meter.read(f"{PROXIES} proxies at rest")
    results |= with_clients(api, activator, meter, places)
    activator.terminate()
    activator.finish()
    return results


def held_apart(api: SlicesApi, folder: Path, pod_port: int, places: list[int]) -> dict[str, float]:
    """By an activator that knows no other proxies: no memory is there that a list has left."""
    register_all(api, list(dict.fromkeys(places)))
    activator = start(api, folder, pod_port)
    meter = Meter(activator)
    clients = [visit(port) for port in places]
    held(activator, CLIENTS)
    found = meter.read(f"{CLIENTS} clients held, few proxies", CLIENTS)
    for client in clients:
        client.close()
    activator.terminate()
    activator.finish()
    return found


def with_clients(
    api: SlicesApi, activator: ActivatorProcess, meter: Meter, places: list[int]
) -> dict[str, Any]:
    results: dict[str, Any] = {}
    clients = [visit(port) for port in places]
    held(activator, CLIENTS)
    results["held"] = meter.read(f"{CLIENTS} clients held", CLIENTS)
    time.sleep(HELD_SECONDS)
    results["holding"] = meter.read(f"{CLIENTS} clients go on being held")
    address = next(addresses())
    with Pod(address, activator.pod_port).running():
        for port in dict.fromkeys(places):
            told = pods(f"proxy-{port}")
            api.put({**told, "endpoints": [endpoint(address, "ready")]})
        for client in clients:
            assert client.recv(1) == b"R"
        results["let_in"] = meter.read(f"{CLIENTS} clients let in", CLIENTS)
        results["stream"] = stream(clients[0], meter)
        for client in clients:
            client.close()
        wait_until(lambda: activator.metrics()["sluice_activator_spliced"] == 0, "all left", 30)
        results["left"] = meter.read("all have left")
    return results


def stream(client: socket.socket, meter: Meter) -> dict[str, float]:
    client.sendall(b"stream")
    left = MEGABYTES << 20
    while left:
        left -= len(client.recv(1 << 18))
    return meter.read(f"{MEGABYTES} MiB to one of them")


def start(api: SlicesApi, folder: Path, pod_port: int) -> ActivatorProcess:
    folder.mkdir()
    activator = ActivatorProcess(api, folder, pod_port)
    activator.wait_until_ready()
    return activator


def allow_many() -> None:
    """A descriptor for each client here, two in the activator and one in its pod."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = PROXIES + 2 * CLIENTS + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        sys.exit(f"ulimit -n: at most {hard}, {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> int:
    began = time.monotonic()
    allow_many()
    with tempfile.TemporaryDirectory() as name, SlicesApi(Path(name) / "account").running() as api:
        results = measure(api, Path(name))
    cost = results["held_apart"]["rss_kib_each"]
    misses = [f"a held client: {cost} KiB > {HELD_GOAL_KIB}"] if cost > HELD_GOAL_KIB else []
    results |= {
        "proxies": PROXIES,
        "clients": CLIENTS,
        "goals": {"held_kib": HELD_GOAL_KIB},
        "missed": misses,
        "machine": {"kernel": platform.release(), "python": platform.python_version()},
    }
    target = ROOT / "build" / "bench-activator.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=2) + "\n")
    for line in misses:
        print(f"== missed: {line}")
    print(f"== {target.relative_to(ROOT)} written, {time.monotonic() - began:.0f} s")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
