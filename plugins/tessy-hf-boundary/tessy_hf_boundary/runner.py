"""One model reading many texts: batches, and going on from what it has read of a text before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tessy_hf_boundary.classifier import Classifier, Row
from tessy_hf_boundary.lines import Line, LineKey, Lines

__all__ = ["Runner", "Stopped"]

Ids = tuple[int, ...]


class Stopped(Exception):
    """Nobody waits for the answer any more."""


class Runner:
    """Runs a classifier on sequences of tokens.

    Args:
        classifier: the model.
        lines: where to keep what it has read; ``None``: every sequence is computed as a whole.
        batch: sequences in one forward pass, at most.
    """

    def __init__(self, classifier: Classifier, lines: Lines | None, *, batch: int) -> None:
        self._classifier = classifier
        self._lines = lines
        self._batch = batch

    def run(self, asked: Sequence[tuple[LineKey, Ids]], stopped: Callable[[], bool]) -> list[Sequence[float]]:
        """The probability of style at every token of every sequence, in order.

        Raises:
            Stopped: between two forward passes; what was read so far is kept.
        """
        if self._lines is None:
            rows = [Row(ids) for _, ids in asked]
            for batch in self._batches(rows):
                _check(stopped)
                self._classifier.run([rows[i] for i in batch])
            return [row.probabilities or [] for row in rows]
        found: list[Sequence[float]] = [()] * len(asked)
        left = list(range(len(asked)))
        while left:  # once, unless two windows of one trajectory stand in one batch
            first = {asked[i][0]: i for i in reversed(left)}
            now = sorted(first.values())
            for i, line in zip(now, self._extend([asked[i] for i in now], self._lines, stopped), strict=True):
                found[i] = line.probabilities[: len(asked[i][1])]
            left = [i for i in left if first[asked[i][0]] != i]
        return found

    def _extend(
        self, asked: Sequence[tuple[LineKey, Ids]], kept: Lines, stopped: Callable[[], bool]
    ) -> list[Line]:
        """The lines of these keys, read on to the end of their sequence."""
        lines = [kept.get(key) for key, _ in asked]
        for line, (_, ids) in zip(lines, asked, strict=True):
            line.rewind(ids)
        rows = [Row(ids[len(line.ids) :], line.past) for line, (_, ids) in zip(lines, asked, strict=True)]
        try:
            for batch in self._batches(rows):
                _check(stopped)
                self._classifier.run([rows[i] for i in batch], keep=True)
                for i in batch:
                    lines[i].add(rows[i].ids, rows[i].probabilities or (), rows[i].past)
        finally:
            for line, (key, _) in zip(lines, asked, strict=True):
                kept.put(key, line)
        return lines

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        """Rows by number, those of a similar length together: what is padded is computed for nothing."""
        batch: list[int] = []
        for i in sorted((i for i, row in enumerate(rows) if row.ids), key=lambda i: len(rows[i].ids)):
            if batch and (len(batch) == self._batch or len(rows[i].ids) > 2 * len(rows[batch[0]].ids) + 16):
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch


def _check(stopped: Callable[[], bool]) -> None:
    if stopped():
        raise Stopped
