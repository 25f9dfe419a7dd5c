"""bench.png: CPU per transaction as a ratio to the peer, and the latency that proxies add."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from contenders import PGBOUNCER, SLUICE
from goals import PLAIN_RATIO
from matplotlib.axes import Axes

OURS, THEIRS, BAD, GREY = "#0b6e4f", "#7a8ba6", "#c8442e", "#555555"


def draw(path: Path, document: Mapping[str, Any]) -> None:
    """Writes the picture; `document` is what stands in bench.json."""
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    cases = {n: c for n, c in reversed(document["cases"].items()) if "/" in n}
    height = 1.8 + 0.3 * len(cases)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, height), layout="constrained", sharey=True
    )
    _ratios(left, cases)
    _added(right, cases)
    figure.suptitle(_title(document["machine"]), x=0.01, ha="left", color=GREY, fontsize=9)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _ratios(axes: Axes, cases: Mapping[str, Any]) -> None:
    for row, case in enumerate(cases.values()):
        ratio, (low, high) = case["ratio"], case["spread"]
        colour = OURS if case["peer"] == PGBOUNCER else THEIRS
        axes.plot((low, high), (row, row), color=colour, linewidth=2, alpha=0.4)
        axes.plot(ratio, row, "o", color=colour)
        axes.annotate(f"{ratio:.2f}", (high, row), (6, 0), textcoords="offset points", va="center")
    axes.axvline(1, color=BAD, linewidth=1)
    axes.axvline(PLAIN_RATIO, color=BAD, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(cases)), list(cases))
    axes.set_xlabel("the proxy's CPU per transaction, to PgBouncer's (grey: to our own extended)")
    axes.set_title("CPU per transaction, median and spread", loc="left", fontweight="bold")


def _added(axes: Axes, cases: Mapping[str, Any]) -> None:
    for name, colour, offset in ((PGBOUNCER, THEIRS, 0.18), (SLUICE, OURS, -0.18)):
        rows = [row for row, case in enumerate(cases.values()) if name in case["added_ms"]]
        added = [
            case["added_ms"][name]["p99"] for case in cases.values() if name in case["added_ms"]
        ]
        middle = [found["median"] for found in added]
        places = [row + offset for row in rows]
        axes.barh(places, middle, height=0.34, color=colour, label=name)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_xscale("symlog", linthresh=0.5)
    axes.legend(frameon=False, loc="lower right")
    axes.set_xlabel("milliseconds more than direct in the same round (beyond 0.5, logarithmic)")
    axes.set_title("Added p99", loc="left", fontweight="bold")


def _title(machine: Mapping[str, Any]) -> str:
    compiled = {True: "compiled", False: "not compiled", None: "compiled or not: unknown"}
    return (
        f"Sluice {machine['code']} ({compiled[machine['compiled']]}), {machine['pgbouncer']}, "
        f"PostgreSQL {machine['postgresql']}, {machine['cpus']} CPUs, kernel {machine['kernel']}"
    )
