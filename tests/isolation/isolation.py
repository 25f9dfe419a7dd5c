"""`make isolation`: never a byte to the wrong client, whatever all of them do at once.

ISOLATION_CLIENTS random clients for ISOLATION_SECONDS on ISOLATION_CONNECTIONS server
connections of PostgreSQL ISOLATION_MAJOR. Then the same for a few seconds with proxies that
are broken on purpose, which must be found out. Prints a table, writes build/isolation.json;
ends with 1 where anything was found, or where a broken proxy was not.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from sluice_testing.isolation.crowd import stress
from sluice_testing.isolation.findings import Findings
from sluice_testing.isolation.mutations import MUTATIONS, program
from sluice_testing.isolation.owner import Plan
from sluice_testing.proxy import PROXY
from sluice_testing.rig import ROOT, Rig, rig

CLIENTS = int(os.environ.get("ISOLATION_CLIENTS", "240"))
SECONDS = float(os.environ.get("ISOLATION_SECONDS", "300"))
CONNECTIONS = int(os.environ.get("ISOLATION_CONNECTIONS", "6"))
MAJOR = int(os.environ.get("ISOLATION_MAJOR", "18"))
SEED = int(os.environ.get("ISOLATION_SEED", str(time.time_ns() % 10_000)))
BROKEN = Plan(clients=60, seconds=10, patience=5, kill_every=0, seed=SEED)


def say(line: str) -> None:
    print(line, flush=True)


def run(world: Rig, plan: Plan, words: Sequence[str], *, broken: bool) -> Findings:
    config = world.config(budget=CONNECTIONS, borrow=10 if broken else 120)
    with world.proxy(config, words, judged=not broken) as proxy:
        report = None if broken else say
        findings = asyncio.run(stress(world.door(proxy), world.server, plan, report))
        if not broken:
            proxy.wait_for_pool(clients=0, borrowed=0, waiting=0, pinned=0)
        elif "Traceback" in proxy.log:
            raise AssertionError(f"it is to do wrong, not to fail:\n{proxy.log[-3000:]}")
    return findings


def table(findings: Findings) -> None:
    for name, figure in findings.document().items():
        if isinstance(figure, int):
            say(f"  {name.replace('_', ' '):26} {figure:>12,}")
    shown = ", ".join(f"{count:,} {act}" for act, count in findings.acts.most_common())
    say(f"  {len(findings.acts)} kinds of acts: {shown}")
    for line in findings.lines():
        say(f"  ! {line}")


def mutations(world: Rig) -> dict[str, dict[str, Any]]:
    found = {}
    for rule, what in MUTATIONS.items():
        findings = run(world, BROKEN, program(rule), broken=True)
        say(f"== {what}, {BROKEN.seconds:.0f} s: {findings}")
        found[rule] = {"broken": what, **findings.document(), "examples": findings.lines()[:3]}
    return found


def main() -> int:
    plan = Plan(CLIENTS, SECONDS, seed=SEED)
    say(f"== {CLIENTS} clients, {CONNECTIONS} connections, PostgreSQL {MAJOR}, {SECONDS:.0f} s")
    with rig(MAJOR) as world:
        began = time.monotonic()
        findings = run(world, plan, PROXY, broken=False)
        seconds = time.monotonic() - began
        table(findings)
        say("== the same with a proxy that is broken on purpose")
        broken = mutations(world)
    missed = [name for name, found in broken.items() if not found["wrong_rows"] + found["leaks"]]
    for name in missed:
        say(f"== not found out: {name}")
    document = {
        **findings.document(),
        "seconds": round(seconds, 1),
        "clients": CLIENTS,
        "connections": CONNECTIONS,
        "major": MAJOR,
        "seed": SEED,
        "findings": findings.lines(),
        "mutations": broken,
    }
    target = ROOT / "build" / "isolation.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(document, indent=2) + "\n")
    say(f"== {target.relative_to(ROOT)} written")
    return 0 if findings.clean and not missed else 1


if __name__ == "__main__":
    sys.exit(main())
