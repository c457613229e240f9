"""Detector ``lexicon``: rules and word lists, no model, no dependency, microseconds a word."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import Field

from tessy.abc import Options, StyleDetector
from tessy.detectors.lexicon.marks import Marks
from tessy.detectors.lexicon.units import LOOKAHEAD, protected, units
from tessy.types import Label, Window

__all__ = ["LexiconDetector", "LexiconOptions"]

# How often it is right with what it says, measured on labelled segments (tests/bench/bench_lexicon.py).
_P_STYLE = 0.88
_P_CAPABILITY = 0.95


class LexiconOptions(Options):
    """Options of detector ``lexicon``."""

    extra_style: str = Field(
        default="", description="phrases that are style wherever they stand, separated by commas"
    )


class LexiconDetector(StyleDetector):
    """A rule-based baseline, good enough to cut at "Hmm, wait.".

    It reads word by word: discourse markers and lead-ins open a stretch of style where a sentence or a
    line begins, generic words go on with it, the first word of the problem ends it. Code, formulas,
    quotations and tables are never style. A word is decided about once the word after it is known, at
    the latest 24 characters on. White space belongs to the word that follows it.
    """

    Options: ClassVar[type[LexiconOptions]] = LexiconOptions
    options: LexiconOptions

    def __init__(self, options: LexiconOptions, *, model: str | None = None) -> None:
        super().__init__(options, model=model)
        phrases = [phrase.split() for phrase in options.extra_style.split(",") if phrase.strip()]
        phrases.sort(key=lambda words: -len(" ".join(words)))
        self._extra = _pattern(phrases) if phrases else None
        self._longest = max((len(" ".join(words)) for words in phrases), default=0)
        # Some white space before the phrase and the character after it must be seen too.
        self.lookahead: int = max(LOOKAHEAD, self._longest + 4)
        self._marks: dict[str, Marks] = {}

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        """Label a batch; never really waits."""
        return [self._label(window, self._marks.setdefault(window.key, Marks())) for window in windows]

    def forget(self, key: str) -> None:
        """Drop where the reading of that trajectory stood."""
        self._marks.pop(key, None)

    def read(self, window: Window) -> list[Label]:
        """The labels of one window; the same as `label`, for callers without an event loop."""
        return self._label(window, Marks())

    def _label(self, window: Window, marks: Marks) -> list[Label]:
        labels: list[Label] = []
        for start, end, style in self._words(window, marks):
            if labels and labels[-1].style == style:
                start = labels.pop().start
            labels.append(Label(start, end, style, _P_STYLE if style else _P_CAPABILITY))
        return labels

    def _words(self, window: Window, marks: Marks) -> Iterator[tuple[int, int, bool]]:
        text, new_from = window.text, window.new_from
        never = protected(text, anchored=window.anchor > 0)
        left = max(0, new_from - self._longest)
        begin, reader, phrase_end = marks.resume(window.anchor, text, new_from, left, self.lookahead)
        for unit in units(text, begin):
            if self._extra and not window.final and len(text) < unit.start + self.lookahead:
                return
            seen = min(unit.end, unit.start + LOOKAHEAD - 3)  # three characters tell which mark opens
            style = reader.read(text, unit, never=_touches(never, unit.word, seen), final=window.final)
            if style is None:
                return
            if self._extra and unit.word >= phrase_end:
                found = self._extra.match(text, unit.word, unit.start + self.lookahead)
                phrase_end = found.end() if found else 0
            if unit.word < phrase_end:
                reader.style = style = True
            if unit.end > new_from:
                yield max(unit.start, new_from), unit.end, style
            # The last words of a final window were judged with nothing behind them; a long one may go on.
            if not window.final and unit.end < len(text):
                marks.add(unit.end, reader, phrase_end)


def _touches(spans: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    """Whether ``[start, end)`` overlaps one of ascending spans."""
    i = bisect_right(spans, start, key=lambda span: span[1])
    return i < len(spans) and spans[i][0] < end


def _pattern(phrases: Sequence[Sequence[str]]) -> re.Pattern[str]:
    either = "|".join(
        r"\s".join(re.escape(word) for word in words) + (r"(?!\w)" if words[-1].isascii() else "")
        for words in phrases
    )
    return re.compile(either, re.IGNORECASE)
