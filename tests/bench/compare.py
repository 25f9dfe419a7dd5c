"""From the samples of a case to its figures: ratios round by round, medians, spread."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pgbench import Sample

OURS, DIRECT = "Sluice", "direct"


def spread(values: Iterable[float], digits: int = 3) -> dict[str, float]:
    found = sorted(values)
    named = {"median": statistics.median(found), "min": found[0], "max": found[-1]}
    return {name: round(value, digits) for name, value in named.items()}


def compare(samples: Mapping[str, Sequence[Sample]], peer: str) -> dict[str, Any]:
    """`samples`: by label, one for each round, all in the order of the rounds.

    `ratio` is our CPU per transaction to that of `peer`, the median of the rounds' ratios.
    """
    ratios = {
        label: spread(ours.cpu_us / other.cpu_us for ours, other in _rounds(samples, label))
        for label in samples
        if label not in (OURS, DIRECT)
    }
    figures = {label: summary(mine) for label, mine in samples.items()}
    return {
        "peer": peer,
        "ratio": ratios[peer]["median"],
        "spread": [ratios[peer]["min"], ratios[peer]["max"]],
        "sluice_us": figures[OURS]["cpu_us"]["median"],
        "peer_us": figures[peer]["cpu_us"]["median"],
        "ratios": ratios,
        "added_ms": {label: added(samples, label) for label in samples if label != DIRECT},
        "contenders": figures,
    }


def summary(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Each figure of a contender over the rounds."""
    rows = [asdict(sample) for sample in samples]
    return {field: spread(row[field] for row in rows) for field in rows[0]}


def added(samples: Mapping[str, Sequence[Sample]], label: str) -> dict[str, dict[str, float]]:
    """Milliseconds more than direct in the same round, of the medians and of the p99s."""
    pairs = list(zip(samples[label], samples[DIRECT], strict=True))
    ranks: dict[str, Callable[[Sample], float]] = {
        "p50": lambda sample: sample.p50_ms,
        "p99": lambda sample: sample.p99_ms,
    }
    return {
        name: spread(rank(mine) - rank(direct) for mine, direct in pairs)
        for name, rank in ranks.items()
    }


def _rounds(samples: Mapping[str, Sequence[Sample]], label: str) -> Iterable[tuple[Sample, Sample]]:
    return zip(samples[OURS], samples[label], strict=True)
