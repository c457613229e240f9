"""One text as it is read: its words, and which of them can be decided about."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from tessy.detectors.boundary.features import KINDS, kind
from tessy.detectors.boundary.lookup import START, Numbers, Seen
from tessy.detectors.lexicon.units import protected, units
from tessy.types import Window

__all__ = ["Ahead", "Reading", "Word", "begin_before", "words_of"]

_KNOWN = 3
"""Characters from an opening mark on that tell what it opens."""
_OPENING = re.compile(r"[`$\"“|\\#/]")
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_FIRST_CJK = "\u3040"
_WORD = re.compile(rf"\s*([{_CJK}]+|[^\s{_CJK}]+)?")
_IS_CJK = re.compile(f"[{_CJK}]")
_NEVER = frozenset(i for i, mark in enumerate(KINDS, 1) if mark in "`$\\|#/")

Word = tuple[int, int, int, bool | None]
"""Where a word begins and ends in the text, its number, and whether it is style where that is given."""


@dataclass(slots=True)
class Ahead:
    """Words that cannot be decided about yet, the last as far as it has come.

    Attributes:
        words: these.
        seen: for each its number and those of the next ones, 0 where there is none.
        right: for each how many next ones there are.
        logits: what the network says of each, once it was asked.
    """

    words: list[Word]
    seen: list[int]
    right: list[int]
    logits: list[float] | None = None


@dataclass(slots=True)
class Reading:
    """Where the reading of a text stands.

    Attributes:
        anchor: where the text begins in its trajectory.
        slot: where the network keeps its state.
        at: where the first word begins that is not decided about, with the white space before it.
        said: of the words decided about last, where each ends, whether it is style, how sure that is.
        since: from where on labels were wanted then.
        text: all that has been seen.
        style: the label of the word before ``at``.
        sure: the label of the last word that was sure of it.
        unsure: how many words in a row were not sure.
        asked: somebody has asked for a guess since it was decided last.
        ahead: what is known of the words behind ``at``, for the next guess.
    """

    anchor: int
    slot: int
    at: int = 0
    said: list[tuple[int, bool, float]] = field(default_factory=list)
    since: int = 0
    text: str = ""
    style: bool = False
    sure: bool | None = None
    unsure: int = 0
    asked: bool = False
    ahead: Ahead | None = None
    _next: int = 0  # where the first word begins whose end is not known
    _words: list[Word] = field(default_factory=list)  # whole, but not decided about
    _spans: list[tuple[int, int]] = field(default_factory=list)  # what is protected
    _ends: list[int] = field(default_factory=list)

    def begin(self, at: int) -> None:
        """Read from here on, where a word or the white space before it begins."""
        self.at = self._next = at

    def follows(self, window: Window, back: int) -> bool:
        """Whether reading can go on in a window: nothing it has read is different there."""
        shift = window.anchor - self.anchor
        if not self.since <= window.new_from + shift <= max(self.at, self.since):
            return False
        if not shift:
            return window.text.startswith(self.text)
        return self._move(window, shift, back)

    def _move(self, window: Window, shift: int, back: int) -> bool:
        """Go on in a window that begins further right, if all is as if it were read from there.

        That is so if what is asked for, and the ``back`` words before it, look the same from there.
        """
        if shift < 0 or not window.text.startswith(self.text[shift:]):
            return False
        known = window.text[: len(self.text) - shift]
        begin, spans = begin_before(known, window.new_from, back), protected(known, anchored=True)
        if not begin or _since(spans, known, begin) != _since(self._spans, self.text, begin + shift):
            return False
        self.anchor, self.text = window.anchor, known
        self.at, self.since, self._next = self.at - shift, self.since - shift, self._next - shift
        self.said = [(end - shift, style, p) for end, style, p in self.said]
        self._words = [(start - shift, end - shift, n, given) for start, end, n, given in self._words]
        self._spans, self._ends = spans, [end for _, end in spans]
        return True

    def see(self, text: str, numbers: Numbers, *, final: bool) -> None:
        """The text has grown: find its new words."""
        known, length = len(self.text), len(text)
        self.text = text
        # What is protected changes where a mark opens or an open one may close, else not.
        if not known or (self._ends and self._ends[-1] >= known) or _OPENING.search(text, max(0, known - 2)):
            self._spans = protected(text, anchored=self.anchor > 0)
            self._ends = [end for _, end in self._spans]
        at, number, plain, match = self._next, numbers.number, numbers.plain, _WORD.match
        add, guarded = self._words.append, bool(self._ends)
        while at < length:
            found = match(text, at)
            start, end = found.span(1) if found else (-1, -1)
            if start < 0 or (end == length and not final):
                break
            given, inside = None, 0
            if text[start] >= _FIRST_CJK:
                start, end, given = _word(text, at, length)
                if end == length and not final:
                    break
            if guarded and (inside := self._kind(start, end)) in _NEVER:
                given = False
            chunk = text[at:end]
            if inside or not start:
                named = number(chunk, inside if start else inside + START)
            else:
                named = plain.get(chunk) or number(chunk, 0)
            add((start, end, named, given))
            at = end
        self._next = at

    def decide(self, look: int, reach: int, numbers: Numbers, *, final: bool) -> tuple[list[Word], list[int]]:
        """The words from ``at`` on that can be decided about; for each, its number and of the next ones.

        ``look`` words after it are seen, but no more than ``reach`` characters; 0 stands for what is beyond.
        So all that is seen of a word is a function of the text up to ``reach`` characters right of it.
        """
        words, length = self._words, len(self.text)
        seen: list[int] = []
        sharp = _KNOWN if self._ends else 0
        done, last = 0, len(words) - look
        for i, (_, end, number, _) in enumerate(words):
            limit = end + reach
            if i < last and words[i + look][1] + sharp <= limit:
                seen.append(number)
                for j in range(i + 1, i + look + 1):
                    seen.append(words[j][2])
            elif i < last or final or length >= limit:
                seen.append(number)
                seen += self._clipped(end, min(limit, length), look, reach + end, numbers)
            else:
                break
            done += 1
        decided, self._words = words[:done], words[done:]
        return decided, seen

    def undecided(self, look: int, numbers: Numbers) -> Ahead:
        """The words that cannot be decided about yet; of each ``look`` words to its right are seen."""
        words, at = self._words, self._next
        start, end, given = _word(self.text, at, len(self.text))
        if start < end:
            kind = self._kind(start, end)
            given = False if kind in _NEVER else given
            chunk = self.text[at:end]
            words = [*words, (start, end, numbers.number(chunk, kind if start else kind + START), given)]
        named = [word[2] for word in words] + [0] * look
        right, seen = [], []
        for i in range(len(words)):
            right.append(min(look, len(words) - 1 - i))
            seen += named[i : i + look + 1]
        return Ahead(words, seen, right)

    def _clipped(self, at: int, stop: int, look: int, limit: int, numbers: Numbers) -> list[int]:
        """The numbers of the words in ``text[at:stop]``, as if the text ended there."""
        found: list[int] = []
        while at < stop and len(found) < look:
            start, end, _ = _word(self.text, at, stop)
            if start == end:
                break
            found.append(numbers.number(self.text[at:end], self._kind(start, min(end, limit - _KNOWN))))
            at = end
        return found + [0] * (look - len(found))

    def _kind(self, start: int, end: int) -> int:
        i = bisect_right(self._ends, start)
        if i < len(self._ends) and self._spans[i][0] < end:
            return kind(self.text, self._spans[i][0])
        return 0


def _since(spans: list[tuple[int, int]], text: str, begin: int) -> list[tuple[int, int, int]]:
    """What is protected from a place on, counted from there, with its kind."""
    return [(max(start - begin, 0), end - begin, kind(text, start)) for start, end in spans if end > begin]


def begin_before(text: str, position: int, words: int) -> int:
    """A place to begin reading, so many words at least left of the word that holds ``position``."""
    parts = text[:position].rsplit(None, words + 1)
    return len(parts[0]) if len(parts) > words + 1 else 0


def words_of(text: str) -> Iterator[tuple[int, int, Seen]]:
    """Start, end and what is seen of each word of a whole text: for training."""
    numbers = Numbers()
    reading = Reading(0, 0)
    reading.see(text, numbers, final=True)
    words, _ = reading.decide(0, 0, numbers, final=True)
    for start, end, number, _ in words:
        yield start, end, numbers.seen[number - 1]


def _word(text: str, at: int, stop: int) -> tuple[int, int, bool | None]:
    """The next word from ``at`` on: start, end, and its label if the network is not asked.

    Chinese and Japanese, of which it knows nothing, are read as the lexicon does. Start and end are the same
    if there is no word.
    """
    found = _WORD.match(text, at, stop)
    assert found is not None
    start, end = found.span(1)
    if start < 0:
        return stop, stop, None
    if text[start] < _FIRST_CJK or not _IS_CJK.match(text, start):
        return start, end, None
    unit = next(units(text if stop == len(text) else text[:stop], at))
    return start, unit.end, unit.cjk_marker
