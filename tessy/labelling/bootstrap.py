"""Bootstrap intervals: how far figures would move with another sample of segments."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import astuple

from tessy.labelling.metrics import FIGURES, Counts, figures_of

__all__ = ["intervals"]


def intervals(
    counts: Sequence[Counts], *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of all figures over segments, drawn with replacement; equal seeds, equal result.

    Detectors that are compared on the same segments with the same seed are drawn the same segments.
    """
    rows = [astuple(one) for one in counts]
    draw = random.Random(seed)
    drawn = [
        figures_of([sum(column) for column in zip(*draw.choices(rows, k=len(rows)), strict=True)])
        for _ in range(resamples)
    ]
    tail = (1 - level) / 2
    return {name: _between(sorted(one[name] for one in drawn), tail) for name in FIGURES}


def _between(values: Sequence[float], tail: float) -> tuple[float, float]:
    last = len(values) - 1
    return values[round(tail * last)], values[round((1 - tail) * last)]
