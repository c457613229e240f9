"""Words by number, and their vectors: computed once, kept while there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tessy.detectors.boundary.features import features, gap

if TYPE_CHECKING:
    from tessy.detectors.boundary.weights import Array, Weights

__all__ = ["LIMIT", "START", "Numbers", "Seen", "Vectors", "known_words", "row_of"]

LIMIT = 127
"""The largest whole number of a vector."""
START = 16
"""Added to the kind of a text's very first word if no white space stands before it."""
_ROOM = 20_000
"""Words kept; when there are more, all are forgotten."""
_GAP_AT_START = 7

Seen = tuple[str, int]
"""A word with the white space before it, and its kind."""


class Numbers:
    """Numbers for words, from 1 on; number 0 is the word that is not there."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        """All words, in the order of their numbers."""
        self._known: dict[Seen, int] = {}
        self.plain: dict[str, int] = {}
        """Those of kind 0, which are most: found without making a pair."""

    def __len__(self) -> int:
        return len(self.seen)

    def number(self, chunk: str, kind: int) -> int:
        """The number of a word."""
        found = self.plain.get(chunk) if not kind else self._known.get((chunk, kind))
        if found is None:
            self.seen.append((chunk, kind))
            found = self._known[chunk, kind] = len(self.seen)
            if not kind:
                self.plain[chunk] = found
        return found

    def clear(self) -> None:
        """All numbers are void."""
        self.seen.clear()
        self._known.clear()
        self.plain.clear()


class Vectors:
    """The vectors of numbered words, each ``embedding`` whole numbers from -`LIMIT` to `LIMIT`.

    Args:
        weights: what a word's vector is the sum of.
        dtype: of the table.
    """

    def __init__(self, weights: Weights, dtype: Any) -> None:
        import numpy

        self._np: Any = numpy
        self._sums: list[Array] = [
            weights.arrays[name].astype(numpy.int32) for name in ("words", "features", "kinds")
        ]
        self._rows = known_words(weights.arrays["vocabulary"])
        self.numbers: Numbers = Numbers()
        self._table: Any = numpy.zeros((1, weights.shape.embedding), dtype)
        self._used = 1

    def tidy(self) -> bool:
        """Forget all words if there are too many; say whether that was so."""
        if self._used <= _ROOM:
            return False
        self.numbers.clear()
        self._table, self._used = self._table[:1], 1
        return True

    @property
    def table(self) -> Any:
        """The vectors of all words that have a number, by it; a new array when it has grown."""
        if len(self.numbers) >= self._used:
            self._learn()
        return self._table

    def _learn(self) -> None:
        np, begin, end = self._np, self._used, len(self.numbers) + 1
        if end > len(self._table):
            room = np.zeros((end + 1000, self._table.shape[1]), self._table.dtype)
            self._table = np.concatenate([self._table, room])
        new = self.numbers.seen[begin - 1 :]
        at = np.array([row_of(seen, self._rows) for seen in new], np.intp)
        kinds = np.array([seen[1] % START for seen in new], np.intp)
        words, features, table = self._sums
        total = words[at[:, 0]] + features[at[:, 1:]].sum(1) + table[kinds]
        self._table[begin:end] = np.clip(total, -LIMIT, LIMIT)
        self._used = end


def known_words(vocabulary: Any) -> dict[int, int]:
    """Checksums of words by their row in the weights; row 0 is for words that are not known."""
    return {int(checksum): i for i, checksum in enumerate(vocabulary, 1)}


def row_of(seen: Seen, known: dict[int, int]) -> list[int]:
    """The features of a word as it stands in the text."""
    chunk, kind = seen
    word = chunk.lstrip()
    space = _GAP_AT_START if kind >= START else gap(chunk[: len(chunk) - len(word)])
    return features(word, space, known)
