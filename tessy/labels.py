"""What labels a detector owes of a window, and what is wrong with those it gives."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

from tessy.seam import is_space
from tessy.types import Label, Window

__all__ = ["label_fault", "labels_due"]


def label_fault(labels: Sequence[Label], window: Window, lookahead: int) -> str | None:
    """What is wrong with a detector's labels of a window; ``None`` if they keep the contract."""
    if type(labels) is not list and not isinstance(labels, Sequence):
        return _no_labels(labels)
    at, length = window.new_from, len(window.text)
    for label in labels:
        if not isinstance(label, Label):
            return _no_labels(labels)
        # `index` takes numpy's numbers and refuses fractions.
        if index(label.start) != at or index(label.end) < at:
            return f"{label} does not begin where the one before ended, at {at}"
        if not isinstance(label.style, bool) or not 0 <= label.p <= 1:
            return f"{label}: style is no bool, or p no probability"
        at = label.end
    if at > length:
        return f"labels reach {at}, the text ends at {length}"
    due = length if window.final else labels_due(window, lookahead)
    return f"labels reach {at}, they are due up to {due} of {length}" if at < due else None


def _no_labels(labels: object) -> str:
    return f"the labels of a window are {labels!r:.80}, not a sequence of Label"


def labels_due(window: Window, lookahead: int) -> int:
    """How far labels must reach at least: the end of the last whole word left of the lookahead."""
    text, start = window.text, window.new_from
    at = len(text) - lookahead
    if at <= start:
        return start
    while at > start and not is_space(text[at - 1]):
        at -= 1
    while at > start and is_space(text[at - 1]):
        at -= 1
    return at
