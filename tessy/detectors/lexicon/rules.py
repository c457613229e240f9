"""The automaton: reads unit after unit and says which are style."""

from __future__ import annotations

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

        Looks at ``text[unit.start : unit.start + LOOKAHEAD]`` and at nothing further right. ``never``:
        the unit belongs to what is never style.
        """
        limit = unit.start + LOOKAHEAD
        ended = final or len(text) >= limit  # nothing more will be seen
        heading, self.heading = self.heading, False
        if unit.end == len(text) and not ended:
            return None
        style: bool | None
        if unit.word >= limit:
            style = False  # so much white space that the word cannot be seen
        elif unit.word == unit.end:
            style = self.style  # white space at the very end
        else:
            self.fresh = self.fresh or "\n" in text[unit.start : unit.word]
            style = not never and self._judge(text, unit, limit, ended, heading)
        if style is not None:
            self._move(text[unit.word : unit.end], unit, style)
        return style

    def _judge(self, text: str, unit: Unit, limit: int, ended: bool, heading: bool) -> bool | None:
        if unit.cjk_marker:
            return self.fresh or self.style
        word = text[unit.word : min(unit.end, limit)]
        bare = _bare(word)
        if heading or not bare:
            return bare != ""
        place = START if self.fresh else GO_ON if self.style else MIDDLE
        label = self.fresh and bare in LABELS
        known = place.style(bare)
        if known is not None and not label:
            return known
        rest = text[unit.end : limit]
        following = rest.split(None, 1)
        last = word.rstrip(CLOSING)[-1:]
        if last in ENDS or (following and "\n" in rest[: rest.index(following[0])]):
            return (label and last == ":") or place.style_before(bare, ".")
        if not ended and (not following or (len(following) == 1 and not rest[-1].isspace())):
            return None
        if not following:
            return place.style_before(bare, ".")
        if label and following[0].rstrip(CLOSING).endswith(":"):
            self.heading = True
            return True
        return place.style_before(bare, _bare(following[0]))

    def _move(self, word: str, unit: Unit, style: bool) -> None:
        if word.rstrip(CLOSING)[-1:] in ENDS:
            self.fresh = not is_abbreviation(word)
        elif not unit.cjk_marker and _bare(word):  # what follows a list mark or a Chinese marker is a start
            self.fresh = False
        self.style = style


def _bare(word: str) -> str:
    """The word as the lists have it; empty for marks alone."""
    return word.lower().replace("’", "'").lstrip(OPENING).rstrip(STOPS + CLOSING)
