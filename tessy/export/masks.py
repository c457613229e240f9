"""Loss masks: which characters of a text are to be learnt, as ranges.

Spans that a mask names are learnt; so are the marks around the thinking, which have no author and which the
student must write itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from tessy.export.settings import Mask
from tessy.rundata import Row, RowSpan

__all__ = ["Ranges", "inline", "merged", "phase"]

Ranges: TypeAlias = list[list[int]]
"""``[start, end]`` pairs in characters, ascending, neither touching nor overlapping."""


def inline(row: Row, masks: Sequence[Mask]) -> Ranges:
    """Of the assistant's message as the row has it, marks included."""
    ranges: Ranges = []
    at, learnt = 0, _Learnt(masks)
    for span in row.spans:
        start, end = span["start"], span["end"]
        if at < start:
            ranges.append([at, start])
        if learnt(span):
            ranges.append([start, end])
        at = end
    ranges.append([at, len(row.content)])
    return merged(ranges)


def phase(row: Row, name: str, masks: Sequence[Mask]) -> Ranges:
    """Of the thinking (``think``) or the answer (``answer``) alone."""
    spans = [span for span in row.spans if span["phase"] == name]
    first = spans[0]["start"] if spans else 0
    learnt = _Learnt(masks)
    return merged([s["start"] - first, s["end"] - first] for s in spans if learnt(s))


def merged(ranges: Iterable[list[int]]) -> Ranges:
    """Ascending ranges, those that touch made one, empty ones left out."""
    found: Ranges = []
    before = -1
    for start, end in ranges:
        if start == end:
            continue
        if before == start:
            found[-1][1] = end
        else:
            found.append([start, end])
        before = end
    return found


class _Learnt:
    """Whether a span is one that a mask names."""

    def __init__(self, masks: Sequence[Mask]) -> None:
        self._authors = {mask.value for mask in masks if mask.by == "author"}
        self._kinds = {mask.value for mask in masks if mask.by == "kind"}

    def __call__(self, span: RowSpan) -> bool:
        return span["author"] in self._authors or span["kind"] in self._kinds
