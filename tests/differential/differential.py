"""`make differential`: the same scripts, told to PostgreSQL and through the proxy.

Every major with pool size 1 and 5, other clients moving in between; the transcripts must be
equal but for what `comparison/normalise.py` lists. Prints what differs, writes
build/differential.json. Options, from the environment:

DIFFERENTIAL_ONLY=text     scripts whose name holds this
DIFFERENTIAL_MAJORS=17,18  these servers
DIFFERENTIAL_POOLS=1       these pool sizes
DIFFERENTIAL_GENERATED=n   so many generated scripts
DIFFERENTIAL_SEED=n        which ones
DIFFERENTIAL_ALONE=1       no neighbours
DIFFERENTIAL_SELF=1        PostgreSQL against itself: are the scripts right?
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from comparison import normalise
from comparison.findings import Tally
from comparison.whole import Plan, majors_tally
from sluice_testing import postgres
from wirescripts.catalogue import SCRIPTS

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2


def numbers(name: str, default: str) -> tuple[int, ...]:
    return tuple(int(part) for part in os.environ.get(name, default).split(","))


@dataclass(frozen=True)
class Options:
    """What the environment asks for."""

    majors: tuple[int, ...]
    plan: Plan

    @classmethod
    def given(cls) -> "Options":
        flag = {name: os.environ.get(f"DIFFERENTIAL_{name}") == "1" for name in ("ALONE", "SELF")}
        plan = Plan(
            only=os.environ.get("DIFFERENTIAL_ONLY", ""),
            pools=numbers("DIFFERENTIAL_POOLS", "1,5"),
            generated=int(os.environ.get("DIFFERENTIAL_GENERATED", "300")),
            seed=int(os.environ.get("DIFFERENTIAL_SEED", "0")),
            alone=flag["ALONE"],
            against_itself=flag["SELF"],
        )
        return cls(numbers("DIFFERENTIAL_MAJORS", "15,16,17,18"), plan)


def run(options: Options, folder: Path) -> list[Tally]:
    command = [sys.executable, str(ROOT / "tests/postgres/install.py")]
    installed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    builds = postgres.reachable_builds(Path(installed.strip()), folder)
    with ProcessPoolExecutor(WORKERS) as workers:
        # The newest, which some scripts are for alone, takes longest.
        jobs = [
            workers.submit(majors_tally, builds / str(major), folder, options.plan)
            for major in sorted(options.majors, reverse=True)
        ]
        tallies = [tally for job in as_completed(jobs) for tally in job.result()]
    return sorted(tallies, key=lambda tally: (tally.major, tally.pool))


def document(tallies: list[Tally], seconds: float) -> dict[str, object]:
    return {
        "scripts": len(SCRIPTS),
        "generated": max((tally.generated for tally in tallies), default=0),
        "runs": sum(tally.runs for tally in tallies),
        "different": sum(len(tally.different) for tally in tallies),
        "cells": [
            {
                "postgresql": tally.major,
                "pool": tally.pool,
                "scripts": tally.scripts,
                "generated": tally.generated,
                "runs": tally.runs,
                "different": len(tally.different),
                "names": tally.different,
            }
            for tally in tallies
        ],
        "not_compared": normalise.reasons(),
        "pitfalls": sorted({number for script in SCRIPTS for number in script.pitfalls}),
        "seconds": round(seconds, 1),
    }


def show(tallies: list[Tally]) -> None:
    print("\nPostgreSQL  pool size  scripts  generated   runs  different")
    for t in tallies:
        print(
            f"{t.major:10}  {t.pool:9}  {t.scripts:7}  {t.generated:9}  {t.runs:5}"
            f"  {len(t.different):9}"
        )


def main() -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sluice-differential-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        tallies = run(Options.given(), folder)
    told = document(tallies, time.monotonic() - began)
    target = ROOT / "build" / "differential.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(told, indent=2) + "\n")
    show(tallies)
    print(f"== {told['different']} different; {target.relative_to(ROOT)}, {told['seconds']} s")
    return 1 if told["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
