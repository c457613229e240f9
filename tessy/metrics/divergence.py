"""How unlike the style words of two sets of rows are: Jensen–Shannon divergence of their unigrams.

JSD(P, Q) = H((P + Q) / 2) - (H(P) + H(Q)) / 2 in bits: 0 for equal frequencies, 1 for no token in common. P
and Q are the relative frequencies of the student's tokens within style (Lin, IEEE Trans. Inf. Theory, 1991).

Few rows make it larger: two runs of one model do not come to 0. What two runs by the student alone, with
different seeds, come to is the floor to compare with.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tessy.metrics.bootstrap import Estimate, weights
from tessy.metrics.terms import Bag

__all__ = ["divergence"]

Floats = npt.NDArray[np.float64]
_MOST = 200
"""Resamples: enough for a standard deviation."""
_NORMAL = 1.96


def divergence(
    ours: Iterable[tuple[str, Bag]], reference: Iterable[tuple[str, Bag]], *, resamples: int, seed: int
) -> Estimate | None:
    """The divergence of two sets of rows, each with its prompt and its bag; ``None``: one has no style.

    The interval is the value ± 1.96 standard deviations over bootstrap samples of prompts: resampling itself
    makes a divergence larger, so percentiles would lie above the value.
    """
    terms: dict[str, int] = {}
    prompts: dict[str, int] = {}
    sides = [_Counts(rows, terms, prompts) for rows in (ours, reference)]
    once = np.ones(len(prompts))
    value = _between(*(side.frequencies(once, len(terms)) for side in sides))
    if np.isnan(value):
        return None
    if not resamples or len(prompts) < 2:
        return Estimate(value, rows=sides[0].rows)
    drawn = [
        _between(*(side.frequencies(draw, len(terms)) for side in sides))
        for some in weights(len(prompts), min(resamples, _MOST), seed)
        for draw in some
    ]
    half = _NORMAL * float(np.nanstd(drawn))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), sides[0].rows)


class _Counts:
    """The style tokens of many rows: which, how often, to which prompt."""

    def __init__(
        self, rows: Iterable[tuple[str, Bag]], terms: dict[str, int], prompts: dict[str, int]
    ) -> None:
        found: list[npt.NDArray[np.int64]] = [np.zeros((0, 3), np.int64)]
        self.rows = 0
        for prompt, bag in rows:
            number = prompts.setdefault(prompt, len(prompts))
            styled = [
                (terms.setdefault(term, len(terms)), count, number)
                for term, (_, count) in bag.items()
                if count
            ]
            if styled:
                self.rows += 1
                found.append(np.array(styled, np.int64))
        self._terms, self._counts, self._prompts = np.concatenate(found).T

    def frequencies(self, drawn: Floats, terms: int) -> Floats:
        """Relative frequencies with each prompt as often as drawn."""
        counts = np.bincount(self._terms, drawn[self._prompts] * self._counts, terms).astype(float)
        total = counts.sum()
        return counts / total if total else np.full(terms, np.nan)


def _between(p: Floats, q: Floats) -> float:
    return float(_entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2)


def _entropy(p: Floats) -> float:
    if np.isnan(p).any():
        return float("nan")
    some = p[p > 0]
    return float(-(some * np.log2(some)).sum())
