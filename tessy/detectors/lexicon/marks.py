"""Where the reading of a trajectory stood, so that its text is not read again for every token that comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tessy.detectors.lexicon.rules import Reader
from tessy.detectors.lexicon.units import Protected, Unit, restart

__all__ = ["Marks", "Reading"]

_MOST = 24
"""Places remembered: a hand-over goes back some words, hardly ever further."""


@dataclass(slots=True)
class Reading:
    """A reading under way.

    Attributes:
        anchor, text: the window's; ``never``: what in it is never style.
        units: those that are still to be read.
        phrase_end: how far a phrase reaches that was found before them.
        at: how far the text is labelled.
    """

    anchor: int
    text: str
    never: Sequence[tuple[int, int]]
    reader: Reader
    units: Iterator[Unit]
    phrase_end: int
    at: int


class Marks:
    """The last units that one trajectory was read to, and how the reading stood before each.

    They are good for a text as far as it is the text that was seen then: what is decided left of a place
    depends on no more than ``lookahead`` characters from there on.

    Attributes:
        rest: where the last reading stood when it could not tell any more: guessing goes on from there.
    """

    __slots__ = ("_anchor", "_places", "_text", "protected", "rest")

    def __init__(self) -> None:
        self._anchor = -1
        self._text = ""
        self._places: deque[tuple[int, int, bool, bool, bool]] = deque(maxlen=_MOST)
        self.protected: Protected = Protected()
        self.rest: Reading | None = None

    def resume(
        self, anchor: int, text: str, before: int, left: int, lookahead: int
    ) -> tuple[int, Reader, int]:
        """Where to read on, in which state, and how far a phrase reaches that was found before.

        Args:
            anchor: the window's.
            text: the window's.
            before: labels are wanted from here on.
            left: the place from which a reading that remembers nothing must look for a beginning.
            lookahead: characters from a place on that decide about what stands left of it.
        """
        places = self._places
        if anchor != self._anchor:
            places.clear()
        while places:
            start, phrase_end, *state = places[-1]
            if start <= before and text.startswith(self._text[: start + lookahead]):
                break
            places.pop()
        self._anchor, self._text = anchor, text
        if places:
            reader = Reader()
            reader.fresh, reader.style, reader.heading = state
            return start, reader, phrase_end
        return restart(text, left), Reader(), 0

    def add(self, start: int, reader: Reader, phrase_end: int) -> None:
        """All units left of ``start`` are decided for good."""
        if not self._places or start > self._places[-1][0]:
            self._places.append((start, phrase_end, reader.fresh, reader.style, reader.heading))
