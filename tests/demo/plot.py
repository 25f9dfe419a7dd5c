"""demo.png: clients and server connections over time, and the times that clients saw."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from figures import Rotation
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from sluice_testing.load import Run

CLIENTS, SERVER, BAD, GREY = "#7a8ba6", "#0b6e4f", "#c8442e", "#555555"


def draw(
    path: Path, direct: Run, sluice: Run, rotation: Rotation, document: dict[str, Any]
) -> None:
    """Writes the picture; `document` is what stands in demo.json."""
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure = plt.figure(figsize=(12, 8.2), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(1.25, 1), width_ratios=(1, 1.35))
    _over_time(figure.add_subplot(grid[0, :]), sluice, rotation, document)
    _outcome(figure.add_subplot(grid[1, 0]), direct, sluice)
    _latencies(figure.add_subplot(grid[1, 1]), document)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _over_time(axes: Axes, run: Run, rotation: Rotation, document: dict[str, Any]) -> None:
    at = [sample.at for sample in run.samples]
    clients = [max(sample.connected, 1) for sample in run.samples]
    server = [max(sample.server_connections, 1) for sample in run.samples]
    axes.set_yscale("log")
    axes.fill_between(at, clients, 1, color=CLIENTS, alpha=0.25, linewidth=0)
    axes.plot(at, clients, color=CLIENTS, linewidth=2)
    axes.plot(at, server, color=SERVER, linewidth=2)
    axes.axhline(100, color=BAD, linewidth=1, linestyle="--")
    axes.set_ylim(1, 2600)
    axes.set_xlim(0, max(at))
    # Left of the rotation for what is steady by then, right of it for what is not.
    left, right = max(at) * 0.2, rotation.at_the_clients + max(at) * 0.03
    most = document["sluice"]["server_connections_max"]
    axes.text(left, 1080, f"{max(clients):,} clients connected", color=GREY, va="bottom")
    axes.text(right, 108, "max_connections = 100", color=BAD, va="bottom")
    axes.text(right, most * 1.1, f"{most} server connections at most", color=SERVER, va="bottom")
    _mark_rotation(axes, rotation)
    axes.set_xlabel("seconds")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    sessions = len(run.sessions)
    errors = document["sluice"]["errors"]
    axes.set_title(
        f"Through Sluice: {sessions:,} short-lived clients, {errors} errors",
        loc="left",
        fontweight="bold",
    )


def _mark_rotation(axes: Axes, rotation: Rotation) -> None:
    steps = (
        (rotation.on_the_server, "ALTER ROLE"),
        (rotation.in_the_secret, "Secret"),
        (rotation.at_the_clients, "clients"),
    )
    for at, name in steps:
        axes.axvline(at, color=GREY, linewidth=1, linestyle=":")
        axes.text(at + 0.3, 1.15, name, rotation=90, color=GREY, fontsize=9, va="bottom")
    axes.text(steps[-1][0] + 1, 1700, "new password", color=GREY, fontsize=9, va="center")


def _outcome(axes: Axes, direct: Run, sluice: Run) -> None:
    sides = (("through Sluice", sluice), ("direct", direct))
    for row, (_, run) in enumerate(sides):
        errors = run.errors().total()
        total = len(run.sessions)
        served = (total - errors) / total * 100
        axes.barh(row, served, color=SERVER, height=0.5)
        axes.barh(row, 100 - served, left=served, color=BAD, height=0.5)
        words = f"{total - errors:,} of {total:,} served"
        axes.text(2, row, words, color="white", va="center", fontsize=9)
        if errors:
            axes.text(served + 2, row + 0.3, _error_words(run), color=BAD, va="bottom", fontsize=9)
    axes.set_yticks(
        range(len(sides)), [f"{name}\n{r.most_in_flight:,} at once" for name, r in sides]
    )
    axes.set_ylim(-0.5, 1.75)
    axes.set_xlim(0, 100)
    axes.set_xlabel("percent of the clients")
    axes.set_title("Clients that got what they came for", loc="left", fontweight="bold")


def _error_words(run: Run) -> str:
    text, _ = run.errors().most_common(1)[0]
    return text.rpartition("FATAL: ")[2].strip()


def _latencies(axes: Axes, document: dict[str, Any]) -> None:
    groups = [(kind, rank) for kind in ("connect", "query") for rank in ("p50", "p99")]
    for offset, (side, colour) in enumerate((("direct", CLIENTS), ("sluice", SERVER))):
        values = [document[side][f"{kind}_ms"][rank] or 0.1 for kind, rank in groups]
        places = [place + 0.38 * offset for place in range(len(groups))]
        label = "direct (those that got in)" if side == "direct" else "through Sluice"
        bars = axes.bar(places, values, width=0.36, color=colour, label=label)
        axes.bar_label(bars, [_shown(value) for value in values], padding=2, fontsize=9)
    axes.set_yscale("log")
    axes.set_ylim(top=axes.get_ylim()[1] * 6)
    axes.set_xticks([place + 0.19 for place in range(len(groups))], [" ".join(g) for g in groups])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _shown(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False, loc="upper right")
    axes.set_title("Times that clients saw", loc="left", fontweight="bold")
    axes.set_xlabel("direct clients come all in one moment, those through Sluice one by one")


def _shown(milliseconds: float) -> str:
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:,.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
