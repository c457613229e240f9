"""How alike a row is to what the student itself writes to the prompt: cosine of TF-IDF vectors.

Source: TESSY, arXiv 2604.14164 (bags of the student's tokens, a vector a response, mean cosine per prompt).
The paper does not give the weights. Here tf is the count and idf(t) = ln((1 + n) / (1 + df(t))) + 1, with n
the reference's rows and df(t) how many of them hold the term: a run's figure does not depend on what else it
is set beside.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tessy.metrics.terms import Bag

__all__ = ["Reference", "idf"]

Floats = npt.NDArray[np.float64]


def idf(texts: int, having: Sequence[int]) -> Floats:
    """The weights of terms that so many of ``texts`` have."""
    weights: Floats = np.log((1 + texts) / (1 + np.array(having))) + 1
    return weights


class _Row(NamedTuple):
    key: Hashable
    terms: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]


class Reference:
    """The student's own responses, held as numbers.

    Args:
        rows: of each response a key that tells it from all others, its prompt, and its bag.
    """

    def __init__(self, rows: Iterable[tuple[Hashable, str, Bag]]) -> None:
        self._terms: dict[str, int] = {}
        self._rows: dict[str, list[_Row]] = {}
        having: list[int] = []
        count = 0
        for key, prompt, bag in rows:
            count += 1
            terms = [self._terms.setdefault(term, len(self._terms)) for term in bag]
            having += [0] * (len(self._terms) - len(having))
            for term in terms:
                having[term] += 1
            counts = [total for total, _ in bag.values()]
            order = np.argsort(np.array(terms, dtype=np.int32))
            row = _Row(key, np.array(terms, np.int32)[order], np.array(counts, np.int32)[order])
            self._rows.setdefault(prompt, []).append(row)
        # The last one is that of terms which no response has.
        self._idf = idf(count, [*having, 0])

    def similarity(self, key: Hashable, prompt: str, bag: Bag) -> float | None:
        """Mean cosine with the responses to the same prompt, itself aside; ``None``: there is none."""
        others = [row for row in self._rows.get(prompt, ()) if row.key != key]
        if not others or not bag:
            return None
        unknown = len(self._terms)
        terms = np.array([self._terms.get(term, unknown) for term in bag], dtype=np.int32)
        weights = np.array([total for total, _ in bag.values()]) * self._idf[terms]
        norm = float(np.sqrt((weights**2).sum()))
        return sum(self._cosine(terms, weights / norm, row) for row in others) / len(others)

    def _cosine(self, terms: npt.NDArray[np.int32], unit: Floats, row: _Row) -> float:
        weights = row.counts * self._idf[row.terms]
        norm = float(np.sqrt((weights**2).sum()))
        if not norm:
            return 0.0
        at = np.searchsorted(row.terms, terms)
        at[at == len(row.terms)] = 0
        shared = row.terms[at] == terms
        return float((unit[shared] * weights[at[shared]]).sum() / norm)
