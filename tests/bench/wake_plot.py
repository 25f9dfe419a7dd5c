"""bench-wake.png: what a wake is made of, and how long each of them took."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from sluice_testing.waking import STAGES, Wake

OURS, THEIRS, BAD, GREY = "#0b6e4f", "#7a8ba6", "#c8442e", "#555555"
OF_THE_CLUSTER = ("pod_created", "sandbox", "process_start")
GOAL_P50 = 1.0


def draw(path: Path, wakes: Sequence[Wake], document: dict[str, Any]) -> None:
    """Writes the picture; `document` is what stands in bench-wake.json."""
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
    _steps(left, document)
    _all(right, [found for found in wakes if not found.error], document)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _steps(axes: Axes, document: dict[str, Any]) -> None:
    """Where the time goes: each stage from the one before, at the median and the p95."""
    names = STAGES[::-1]
    steps = {STAGES[0]: document[f"{STAGES[0]}_s"], **document["steps_s"]}
    for place, name in enumerate(names):
        colour = THEIRS if name in OF_THE_CLUSTER else OURS
        axes.barh(place, steps[name]["p95"], color=colour, alpha=0.35, height=0.6)
        axes.barh(place, steps[name]["p50"], color=colour, height=0.6)
        axes.text(steps[name]["p95"], place, f"  {steps[name]['p50'] * 1000:.0f} ms", va="center",
                  color=GREY, fontsize=9)  # fmt: skip
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set_xlabel("seconds since the stage before (pale: p95); grey is the cluster's part")
    axes.set_title("What a cold wake is made of", loc="left", fontweight="bold")


def _all(axes: Axes, wakes: Sequence[Wake], document: dict[str, Any]) -> None:
    """Every wake, from the fastest to the slowest."""
    taken = sorted(found.stages["first_row"] for found in wakes)
    share = [100 * (number + 1) / len(taken) for number in range(len(taken))]
    axes.step(taken, share, where="post", color=OURS, linewidth=2)
    axes.axvline(GOAL_P50, color=BAD, linewidth=1, linestyle="--")
    axes.text(GOAL_P50, 4, " goal of the median", color=BAD, fontsize=9)
    axes.set_xlim(left=0)
    axes.set_ylim(0, 100)
    axes.set_xlabel("seconds from the first SYN to the first row")
    axes.set_ylabel("percent of the wakes")
    found = document["first_row_s"]
    title = f"{document['cycles']} wakes, {document['errors']} errors: p50 {found['p50']} s, "
    axes.set_title(f"{title}p99 {found['p99']} s", loc="left", fontweight="bold")
