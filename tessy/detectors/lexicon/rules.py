"""The automaton: reads unit after unit and says which are style."""

from __future__ import annotations

from functools import lru_cache

from tessy.detectors.lexicon.units import LOOKAHEAD, Unit
from tessy.detectors.lexicon.words import (
    CLOSING,
    ENDS,
    GO_ON,
    LABELS,
    MIDDLE,
    OPENING,
    START,
    STOPS,
    is_abbreviation,
)

__all__ = ["Reader"]


class Reader:
    """Where the reading of a text stands: at a sentence's start, in a stretch of style, or elsewhere."""

    def __init__(self) -> None:
        self.fresh: bool = True
        self.style: bool = False
        self.heading: bool = False  # the rest of a generic heading follows: the "2:" of "Step 2:"

    def read(self, text: str, unit: Unit, *, never: bool, final: bool) -> bool | None:
        """Whether a unit is style; ``None`` while the text ends too early to say.

        After ``None`` it stands where it stood.

        Looks at ``text[unit.start : unit.start + LOOKAHEAD]`` and at nothing further right. ``never``:
        the unit belongs to what is never style.
        """
        start, begin, end, _ = unit
        size, limit = len(text), start + LOOKAHEAD
        ended = final or size >= limit  # nothing more will be seen
        if end == size and not ended:
            return None
        heading, self.heading = self.heading, False  # a heading's rest is told at once
        style: bool | None
        if begin >= limit:
            style = False  # so much white space that the word cannot be seen
        elif begin == end:
            style = self.style  # white space at the very end
        else:
            self.fresh = self.fresh or "\n" in text[start:begin]
            style = not never and self._judge(text, unit, limit, ended, heading)
        if style is not None:
            self._move(text[begin:end], unit, style)
        return style

    def _judge(self, text: str, unit: Unit, limit: int, ended: bool, heading: bool) -> bool | None:
        if unit.cjk_marker:
            return self.fresh or self.style
        word = text[unit.word : min(unit.end, limit)]
        bare, ends = _shape(word)
        if heading or not bare:
            return bare != ""
        place = START if self.fresh else GO_ON if self.style else MIDDLE
        label = self.fresh and bare in LABELS
        known = place.style(bare)
        if known is not None and not label:
            return known
        rest = text[unit.end : limit]
        following = rest.split(None, 1)
        if ends or (following and "\n" in rest[: rest.index(following[0])]):
            return (label and ends == ":") or place.style_before(bare, ".")
        if not ended and (not following or (len(following) == 1 and not rest[-1].isspace())):
            return None
        if not following:
            return place.style_before(bare, ".")
        if label and following[0].rstrip(CLOSING).endswith(":"):
            self.heading = True
            return True
        return place.style_before(bare, _shape(following[0])[0])

    def _move(self, word: str, unit: Unit, style: bool) -> None:
        bare, ends = _shape(word) if len(word) <= LOOKAHEAD else _read_shape(word)
        if ends:
            self.fresh = not is_abbreviation(word)
        elif bare and not unit.cjk_marker:  # what follows a list mark or a Chinese marker is a start
            self.fresh = False
        self.style = style


def _read_shape(word: str) -> tuple[str, str]:
    """The word as the lists have it, empty for marks alone; and the mark that ends a sentence with it."""
    bare = word.lower().replace("’", "'").lstrip(OPENING).rstrip(STOPS + CLOSING)
    last = word.rstrip(CLOSING)[-1:]
    return bare, last if last in ENDS else ""


# Most words come again and again; long ones do not.
_shape = lru_cache(maxsize=16_384)(_read_shape)
