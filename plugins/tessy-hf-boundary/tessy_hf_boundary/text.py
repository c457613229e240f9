"""A growing text as words and tokens; only what is new of it is looked at."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from tessy_hf_boundary.encoder import Encoder
from tessy_hf_boundary.words import Piece, pieces, word_end

__all__ = ["Text", "Word"]


@dataclass(slots=True)
class Word:
    """``text[start:end]``; the label at ``token`` decides about it (-1: no token stands before it)."""

    start: int
    end: int
    token: int


class _Mark(NamedTuple):
    """Where a piece opens a word, and how many words and tokens stand before it."""

    start: int
    words: int
    tokens: int


class Text:
    """The text from an anchor on.

    Args:
        encoder: of the model that reads it.
        shift: how many tokens left of a word the label stands that decides about its first one.

    Attributes:
        tokens: those of all closed pieces.
    """

    def __init__(self, encoder: Encoder, shift: int) -> None:
        self.tokens: list[int] = []
        self._encoder = encoder
        self._shift = shift
        self._text = ""
        self._words: list[Word] = []
        self._ends: list[tuple[int, int]] = []  # of closed pieces: characters, tokens so far
        self._marks: list[_Mark] = []

    def read(self, text: str, *, final: bool) -> None:
        """The text is this now: longer, shorter or another one; what stays the same is not read again."""
        start = self._go_back(_common(self._text, text))
        self._text = text
        for piece in pieces(text, start, final=final):
            if piece.opens:
                self._marks.append(_Mark(piece.start, len(self._words), len(self.tokens)))
            if piece.closed:
                self._add(piece)
            else:
                self._begin(piece)

    def words_behind(self, at: int) -> list[Word]:
        """The words that end right of a character, in order."""
        return self._words[bisect_right(self._words, at, key=lambda word: word.end) :]

    def tokens_within(self, end: int) -> int:
        """How many tokens closed pieces have that end by a character."""
        found = bisect_right(self._ends, end, key=lambda piece: piece[0])
        return self._ends[found - 1][1] if found else 0

    def _add(self, piece: Piece) -> None:
        encoded, before = self._encoder.encode(self._text[piece.start : piece.end]), len(self.tokens)
        if piece.opens:
            # What has no tokens of its own is called what the token before it says.
            shift = self._shift if encoded.ids else 1
            self._words.append(Word(piece.start, piece.start, before - shift))
        for token, at in encoded.words:
            self._words[-1].end = piece.start + at
            self._words.append(Word(piece.start + at, piece.start + at, before + token - self._shift))
        self._words[-1].end = piece.end
        self.tokens += encoded.ids
        self._ends.append((piece.end, len(self.tokens)))

    def _begin(self, piece: Piece) -> None:
        """Its tokens are not known yet, but the label that decides about its first word may be."""
        if piece.opens and self._shift:
            self._words.append(Word(piece.start, piece.start, len(self.tokens) - 1))
        if self._shift or not piece.opens:
            self._words[-1].end = word_end(self._text, piece.start)

    def _go_back(self, common: int) -> int:
        """Forget what follows the last word's beginning that the first ``common`` characters decide."""
        last = bisect_left(self._marks, common, key=lambda mark: mark.start) - 1
        mark = self._marks[last] if last >= 0 else _Mark(0, 0, 0)
        del self._marks[max(0, last) :], self._words[mark.words :], self.tokens[mark.tokens :]
        del self._ends[bisect_right(self._ends, mark.start, key=lambda piece: piece[0]) :]
        return mark.start


def _common(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while high - low > 1:  # equal up to low, different up to high
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low
