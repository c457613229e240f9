"""Detector ``lexicon``: rules and word lists, no model, no dependency, microseconds a word."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import chain
from typing import ClassVar

from pydantic import Field

from tessy.abc import Options, StyleDetector
from tessy.detectors.lexicon.marks import Marks, Reading
from tessy.detectors.lexicon.units import LOOKAHEAD, units
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
    by_words = True

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
        return [self._label(window, self._place(window.key), window.final) for window in windows]

    def guess(self, window: Window) -> list[Label]:
        """What it would say if the text ended here."""
        marks = self._place(window.key)
        rest, marks.rest = marks.rest, None
        if rest is None or (rest.anchor, rest.at, rest.text) != (window.anchor, window.new_from, window.text):
            return self._label(window, marks, True)
        return self._read(rest, marks, window.new_from, True)

    def forget(self, key: str) -> None:
        """Drop where the reading of that trajectory stood."""
        self._marks.pop(key, None)

    def read(self, window: Window) -> list[Label]:
        """The labels of one window; the same as `label`, for callers without an event loop."""
        return self._label(window, Marks(), window.final)

    def _place(self, key: str) -> Marks:
        marks = self._marks.get(key)
        if marks is None:
            marks = self._marks[key] = Marks()
        return marks

    def _label(self, window: Window, marks: Marks, final: bool) -> list[Label]:
        text, new_from = window.text, window.new_from
        marks.rest = None  # what is never style is told of one text only
        never = marks.protected.read(text, anchored=window.anchor > 0)
        left = max(0, new_from - self._longest)
        begin, reader, phrase_end = marks.resume(window.anchor, text, new_from, left, self.lookahead)
        reading = Reading(window.anchor, text, never, reader, units(text, begin), phrase_end, new_from)
        return self._read(reading, marks, new_from, final)

    def _read(self, reading: Reading, marks: Marks, new_from: int, final: bool) -> list[Label]:
        """Read on as far as it can be told; what can only be guessed is left in ``marks.rest``."""
        text, never, reader, phrase_end = reading.text, reading.never, reading.reader, reading.phrase_end
        extra, size, at, labels = self._extra, len(text), new_from, _Labels()
        for unit in reading.units:
            start, word, end, _ = unit
            style = None
            if not extra or final or size >= start + self.lookahead:
                # Three characters tell which mark opens.
                shut = bool(never) and _touches(never, word, min(end, start + LOOKAHEAD - 3))
                style = reader.read(text, unit, never=shut, final=final)
            if style is None:
                reading.units = chain((unit,), reading.units)
                reading.phrase_end, reading.at = phrase_end, at
                marks.rest = reading
                break
            if extra and word >= phrase_end:
                found = extra.match(text, word, start + self.lookahead)
                phrase_end = found.end() if found else 0
            if word < phrase_end:
                reader.style = style = True
            if end > at:
                labels.add(at, end, style)
                at = end
            # The last words of a final window were judged with nothing behind them; a long one may go on.
            if not final and end < size:
                marks.add(end, reader, phrase_end)
        return labels.done()


class _Labels:
    """Words as labels: neighbours that are the same become one."""

    __slots__ = ("_end", "_labels", "_start", "_style")

    def __init__(self) -> None:
        self._labels: list[Label] = []
        self._start = self._end = 0
        self._style = False

    def add(self, start: int, end: int, style: bool) -> None:
        """The next word."""
        if self._end == start and self._style == style and start > self._start:
            self._end = end
            return
        self._close()
        self._start, self._end, self._style = start, end, style

    def done(self) -> list[Label]:
        """All of them."""
        self._close()
        return self._labels

    def _close(self) -> None:
        if self._end > self._start:
            p = _P_STYLE if self._style else _P_CAPABILITY
            self._labels.append(Label(self._start, self._end, self._style, p))


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
