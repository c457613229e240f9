"""What is remembered between calls: the tokens of a text, their labels, their keys and values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

__all__ = ["Line", "LineKey", "Lines"]

_PER_TOKEN = 16
"""Bytes to reckon for a token's id and probability."""


class LineKey(NamedTuple):
    """Which text: a trajectory's, read by a model from an anchor and, inside the window, a token on."""

    key: str
    model: int
    anchor: int
    start: int


@dataclass(slots=True)
class Line:
    """A stretch of tokens that a model has read."""

    ids: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    past: torch.Tensor | None = None

    @property
    def size(self) -> int:
        """Bytes, about."""
        kept = 0 if self.past is None else self.past.untyped_storage().nbytes()
        return kept + _PER_TOKEN * len(self.ids)

    def rewind(self, ids: Sequence[int]) -> None:
        """Go back to where ``ids`` begin to differ: a draft was dropped, another text is there."""
        same = next((i for i, (a, b) in enumerate(zip(self.ids, ids, strict=False)) if a != b), None)
        if same is None:
            return
        del self.ids[same:], self.probabilities[same:]
        if self.past is not None:
            self.past = self.past[:, :, :, :same].clone() if same else None

    def add(self, ids: Sequence[int], probabilities: Sequence[float], past: torch.Tensor | None) -> None:
        """Tokens that the model has read behind the others; ``past`` holds them all."""
        self.ids += ids
        self.probabilities += probabilities
        self.past = past


class Lines:
    """Lines by key, the least recently used dropped first. For one thread.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._lines: OrderedDict[LineKey, tuple[Line, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._lines)

    def get(self, key: LineKey) -> Line:
        """The line, or a new one; `put` it back once it has changed."""
        found = self._lines.get(key)
        return Line() if found is None else found[0]

    def put(self, key: LineKey, line: Line) -> None:
        """Keep a line, and drop the oldest until all fit."""
        self._drop(key)
        self._lines[key] = line, line.size
        self.size += line.size
        while self.size > self.limit:
            self._drop(next(iter(self._lines)))

    def forget(self, key: str) -> None:
        """Drop all lines of a trajectory."""
        for line in [line for line in self._lines if line.key == key]:
            self._drop(line)

    def _drop(self, key: LineKey) -> None:
        _, size = self._lines.pop(key, (None, 0))
        self.size -= size
