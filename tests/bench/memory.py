"""`make bench-memory`: what the proxy's process holds for clients that rest, and for a gigabyte.

RSS of a real `python -m sluice_proxy`, as /proc tells it, in front of a real PostgreSQL.
Prints a table, writes build/bench-memory.json, exits with 1 where a goal is missed.
"""

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import contenders as who
from gigabytes import CASES, Case
from herd import Herd

from sluice_testing.proxy import ProxyProcess
from sluice_testing.rig import ROOT, Rig, rig

CLIENTS = int(os.environ.get("BENCH_MEMORY_CLIENTS", "3000"))
MAJOR = int(os.environ.get("BENCH_MEMORY_MAJOR", "18"))
ONLY = os.environ.get("BENCH_MEMORY_ONLY", "")  # idle, or gigabyte
IDLE_GOAL_KIB = 8.0
GIGABYTE_GOAL_MIB = 64.0
_SETTLED = 1.5  # seconds after which what a login or a query left is freed


def figures(pid: int) -> dict[str, int]:
    """KiB: what is resident now (Rss, Pss) and the most that ever was (VmHWM)."""
    found = {}
    for name, wanted in (("status", ("VmRSS", "VmHWM")), ("smaps_rollup", ("Pss",))):
        for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
            key, _, rest = line.partition(":")
            if key in wanted:
                found[key] = int(rest.split()[0])
    return found


def forget_peak(pid: int) -> None:
    """VmHWM begins anew (man 5 proc, clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def settled(proxy: ProxyProcess) -> dict[str, int]:
    time.sleep(_SETTLED)
    return figures(proxy.pid)


def idle_clients(world: Rig, *, tls: bool) -> dict[str, Any]:
    """KiB for each of CLIENTS clients, in the states that a client comes through."""
    with world.proxy(world.config(), judged=False) as proxy:
        door = world.door(proxy)
        with Herd(door, 100, tls=tls) as few:  # code and caches that all share
            few.query()
            few.prepare_and_set()
        proxy.wait_for_pool(clients=0)
        base = settled(proxy)
        with Herd(door, CLIENTS, tls=tls) as herd:
            found: dict[str, Any] = {"base_rss_kib": base["VmRSS"]}
            found["never_queried"] = each(base, settled(proxy))
            herd.query()
            found["queried_once"] = each(base, settled(proxy))
            herd.query()
            found["queried_twice"] = each(base, settled(proxy))
            herd.prepare_and_set()
            found["prepared_and_set"] = each(base, settled(proxy))
        proxy.wait_for_pool(clients=0)
        found["after_all_left_rss_kib"] = settled(proxy)["VmRSS"]
    return found


def each(base: dict[str, int], now: dict[str, int]) -> dict[str, float]:
    return {
        "rss_kib": round((now["VmRSS"] - base["VmRSS"]) / CLIENTS, 2),
        "pss_kib": round((now["Pss"] - base["Pss"]) / CLIENTS, 2),
    }


def gigabyte(world: Rig, case: Case, *, tls: bool) -> dict[str, Any]:
    """One transfer through a proxy of its own: MiB before, and at its peak."""
    with world.proxy(world.config(), judged=False) as proxy:
        door = world.door(proxy)
        with Herd(door, 5, tls=tls) as few:
            few.query()
        base = settled(proxy)
        forget_peak(proxy.pid)
        began = time.monotonic()
        moved = case.run(door, tls)
        seconds = time.monotonic() - began
        after = figures(proxy.pid)
    return {
        "bytes": moved,
        "seconds": round(seconds, 1),
        "base_mib": round(base["VmRSS"] / 1024, 1),
        "peak_mib": round(after["VmHWM"] / 1024, 1),
        "after_mib": round(after["VmRSS"] / 1024, 1),
    }


def run_idle(world: Rig) -> dict[str, Any]:
    results = {}
    print(f"{'idle client, KiB each of RSS':32} | never | once  | twice | prepared, SET")
    for name, tls in (("plain", False), ("TLS", True)):
        found = idle_clients(world, tls=tls)
        states = ("never_queried", "queried_once", "queried_twice", "prepared_and_set")
        cells = " | ".join(f"{found[state]['rss_kib']:5.2f}" for state in states)
        print(f"{name + f', {CLIENTS} clients':32} | {cells}", flush=True)
        results[name] = found
    return results


def run_gigabytes(world: Rig) -> dict[str, Any]:
    results = {}
    print(f"{'1 GB':44} |  base | peak MiB | seconds")
    for case in CASES:
        for tls in (False, True) if case.over_tls else (False,):
            name = f"{case.name}{', TLS' if tls else ''}"
            found = gigabyte(world, case, tls=tls)
            shown = f"{found['base_mib']:5.1f} | {found['peak_mib']:8.1f} | {found['seconds']:5.1f}"
            print(f"{name:44} | {shown}", flush=True)
            results[name] = found
    return results


def missed(results: dict[str, Any]) -> list[str]:
    """The goals that were not met."""
    misses = []
    for state, found in results.get("idle", {}).get("plain", {}).items():
        cost = found["rss_kib"] if isinstance(found, dict) else 0.0
        if cost > IDLE_GOAL_KIB:
            misses.append(f"an idle client, {state}: {cost} KiB > {IDLE_GOAL_KIB}")
    for name, found in results.get("gigabyte", {}).items():
        if found["peak_mib"] > GIGABYTE_GOAL_MIB:
            misses.append(f"{name}: {found['peak_mib']} MiB > {GIGABYTE_GOAL_MIB}")
    return misses


def raise_descriptor_limit() -> None:
    """A descriptor for each client here, and one in the proxy, which inherits the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CLIENTS + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        sys.exit(f"ulimit -n: at most {hard}, {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> int:
    began = time.monotonic()
    raise_descriptor_limit()
    parts: dict[str, Callable[[Rig], dict[str, Any]]] = {
        "idle": run_idle,
        "gigabyte": run_gigabytes,
    }
    with rig(MAJOR) as world:
        results: dict[str, Any] = {
            name: part(world) for name, part in parts.items() if ONLY in ("", name)
        }
    misses = missed(results)
    results["goals"] = {"idle_kib": IDLE_GOAL_KIB, "gigabyte_mib": GIGABYTE_GOAL_MIB}
    results["missed"] = misses
    results["machine"] = {
        "kernel": platform.release(),
        "python": platform.python_version(),
        "code": who.digest(ROOT / "proxy"),
        "command": f"make bench-memory BENCH_MEMORY_CLIENTS={CLIENTS} BENCH_MEMORY_MAJOR={MAJOR}",
    }
    target = ROOT / "build" / "bench-memory.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=2) + "\n")
    for line in misses:
        print(f"== missed: {line}")
    print(f"== {target.relative_to(ROOT)} written, {time.monotonic() - began:.0f} s")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
