"""Bootstrap over prompts: how far figures would move with another sample of prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tessy.metrics.figures import Ratio

__all__ = ["Estimate", "estimates", "weights"]

Floats = npt.NDArray[np.float64]

_AT_ONCE = 64
"""Resamples in memory at a time."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, and its percentile interval; ``None`` where there is one prompt, or no resampling."""

    value: float
    low: float | None = None
    high: float | None = None
    rows: int = 0


def estimates(
    rows: Sequence[tuple[str, Mapping[str, Ratio]]],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Every figure over rows, each given with its prompt and its shares.

    Prompts are drawn with replacement, with all of their rows: samples of one prompt are not independent.
    Equal seeds draw the same prompts of runs that have the same number of them. ``rows`` of an estimate
    are those that have a share in it.
    """
    prompts = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompt for prompt, _ in rows))}
    names = list(dict.fromkeys(name for _, shares in rows for name in shares))
    table = np.zeros((len(prompts), len(names), 2))
    counts = np.zeros(len(names), dtype=int)
    forms: dict[str, str] = {}
    columns = {name: i for i, name in enumerate(names)}
    for prompt, shares in rows:
        for name, share in shares.items():
            table[prompts[prompt], columns[name]] += (share.above, share.below)
            counts[columns[name]] += 1
            forms[name] = share.form
    values = _values(table.sum(axis=0), names, forms)
    lows = highs = np.full(len(names), np.nan)
    if resamples and len(prompts) > 1:
        flat = table.reshape(len(prompts), -1)
        drawn = np.concatenate(
            [
                _values((draw @ flat).reshape(len(draw), len(names), 2), names, forms)
                for draw in weights(len(prompts), resamples, seed)
            ]
        )
        tail = 100 * (1 - level) / 2
        # A figure that few rows have a share in is missing from some resamples.
        some = ~np.isnan(drawn).all(axis=0)
        lows, highs = lows.copy(), highs.copy()
        lows[some], highs[some] = np.nanpercentile(drawn[:, some], [tail, 100 - tail], axis=0)
    return {
        name: Estimate(float(values[i]), _number(lows[i]), _number(highs[i]), int(counts[i]))
        for i, name in enumerate(names)
        if not np.isnan(values[i])
    }


def weights(prompts: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each prompt is drawn in each resample, some resamples at a time."""
    random = np.random.default_rng(seed)
    for begin in range(0, resamples, _AT_ONCE):
        some = min(_AT_ONCE, resamples - begin)
        yield random.multinomial(prompts, np.full(prompts, 1 / prompts), size=some).astype(float)


def _values(sums: Floats, names: Sequence[str], forms: Mapping[str, str]) -> Floats:
    """What sums come to; not a number where there is nothing below the line."""
    above, below = sums[..., 0], sums[..., 1]
    values: Floats = np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)
    exponential = np.array([forms[name] == "exp" for name in names], dtype=bool)
    values[..., exponential] = np.exp(np.minimum(values[..., exponential], 700.0))
    return values


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
