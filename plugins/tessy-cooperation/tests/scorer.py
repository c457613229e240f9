"""Example scorers: what a reward model looks like to policy ``reward-guided``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tessy import Label, Options, StyleDetector, Window

__all__ = ["ArithmeticScorer", "Scorer"]

_SUM = re.compile(r"(\d+) ([+-]) (\d+)(?: = |, which is | gives )(-?\d+)")


class Scorer(StyleDetector):
    """The reward of a step is the number that it ends with, else 1.

    It waits until a step is whole: its lookahead is longer than one.
    """

    lookahead = 4096

    def __init__(self, options: Options | None = None, *, model: str | None = None) -> None:
        super().__init__(options or Options(), model=model)
        self.questions: set[str] = set()

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        return [self._score(window) for window in windows]

    def reward(self, text: str) -> float:
        """How good ``text`` is, from 0 to 1."""
        number = re.search(r"(\d\.\d+)\s*\Z", text)
        return float(number[1]) if number else 1.0

    def _score(self, window: Window) -> list[Label]:
        if window.prompt is not None:
            self.questions.add(window.prompt.messages[-1].content)
        if not window.final and len(window.text) - window.new_from < self.lookahead:
            return []
        return [Label(window.new_from, len(window.text), False, self.reward(window.text[window.new_from :]))]


class ArithmeticScorer(Scorer):
    """The share of a step's sums that are right."""

    def reward(self, text: str) -> float:
        sums = [int(a) + int(sign + b) == int(c) for a, sign, b, c in _SUM.findall(text)]
        return sum(sums) / len(sums) if sums else 1.0
