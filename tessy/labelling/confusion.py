"""Confusions: which words a detector gets wrong, and where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tessy.labelling.segments import Segment, Span
from tessy.labelling.words import word_labels, words

__all__ = ["Confusion", "confusions"]

_CONTEXT = 40


@dataclass(frozen=True, slots=True)
class Confusion:
    """Words that were called wrong, with one place as an example.

    Attributes:
        words: the stretch, in lower case.
        style: what it is by the given spans: style that was missed, or capability called style.
        count: how often.
        id: the segment of the example; ``left``, ``right``: up to 40 characters around it there.
    """

    words: str
    style: bool
    count: int
    id: str
    left: str
    text: str
    right: str


def confusions(
    segments: Sequence[Segment], predicted: Sequence[Sequence[Span]], limit: int
) -> list[Confusion]:
    """The most frequent stretches that were called wrong, at most ``limit``."""
    places: dict[tuple[str, bool], list[tuple[Segment, int, int]]] = defaultdict(list)
    for segment, spans in zip(segments, predicted, strict=True):
        for start, end, style in _wrong(segment, spans):
            key = " ".join(segment.text[start:end].lower().split())
            places[key, style].append((segment, start, end))
    ranked = sorted(places.items(), key=lambda item: (-len(item[1]), item[0]))
    return [_confusion(words, style, found) for (words, style), found in ranked[:limit]]


def _wrong(segment: Segment, spans: Sequence[Span]) -> Iterator[tuple[int, int, bool]]:
    """Stretches of words that are called wrong in one way."""
    at = words(segment.text)
    gold, ours = word_labels(at, segment.spans), word_labels(at, spans)
    begin = 0
    for i in range(1, len(at) + 1):
        if i < len(at) and (gold[i], ours[i]) == (gold[begin], ours[begin]):
            continue
        if gold[begin] != ours[begin]:
            yield at[begin][0], at[i - 1][1], gold[begin]
        begin = i


def _confusion(words: str, style: bool, places: Sequence[tuple[Segment, int, int]]) -> Confusion:
    segment, start, end = places[0]
    text = segment.text
    left, right = text[max(0, start - _CONTEXT) : start], text[end : end + _CONTEXT]
    return Confusion(words, style, len(places), segment.id, left, text[start:end], right)
