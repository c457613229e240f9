"""Texts as words, and spans as a label for each word: what all figures count."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tessy.labelling.segments import Span

__all__ = ["boundaries", "word_labels", "words"]

_WORD = re.compile(r"\S+")


def words(text: str) -> list[Span]:
    """Where the words are: what stands between white space."""
    return [match.span() for match in _WORD.finditer(text)]


def word_labels(at: Sequence[Span], spans: Sequence[Span]) -> list[bool]:
    """For each word whether it is style: whether a span (they ascend) touches it."""
    labels, i = [], 0
    for start, end in at:
        while i < len(spans) and spans[i][1] <= start:
            i += 1
        labels.append(i < len(spans) and spans[i][0] < end)
    return labels


def boundaries(labels: Sequence[bool], *, style: bool) -> list[int]:
    """The words at which a stretch of style begins (``style=True``) or capability begins again.

    The first word is none: nothing changes there.
    """
    return [i for i in range(1, len(labels)) if labels[i] == style and labels[i - 1] != style]
