r"""Text as pieces that are encoded one by one, so that the tokens of a growing text never change.

Whether a piece begins at a character can be told from the text up to that character. Pieces begin where
the pre-tokenizers of Qwen, o200k, Llama 3 and DeepSeek begin a token too, so for those the tokens of the
pieces are those of the whole text (but for words longer than `LONG`):

- before the space in front of a word; before a newline that follows a letter or a number; after the
  newlines that follow punctuation (``".\n\n"`` is one token);
- where a run of Chinese or Japanese ends at punctuation.

Pieces are for the tokenizer. A *word*, which has one label, is one piece or several: a piece that begins
inside a word (a long one, or behind a no-break space) goes on with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from unicodedata import category

__all__ = ["LONG", "NEWLINES", "Piece", "divides", "pieces", "word_end"]

LONG = 64
"""Characters of the longest piece: work and waiting are bounded whatever the text is."""
NEWLINES = 3
"""Newlines that punctuation takes with it."""

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_CJK = f"\u3040-\u30ff{_HAN}"
_MARKS = (
    "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u200c\u200d\u20d0-\u20ff\u3099\u309a"
    "\ufe00-\ufe0f\ufe20-\ufe2f\U000e0100-\U000e01ef"
)
_PIECE = re.compile(
    rf"\s*(?:[^\s{_CJK}]*[{_CJK}][\w{_MARKS}]*|[^\s{_CJK}]+(?:(?<![^\W_])[\r\n]{{1,{NEWLINES}}})?)|\s+\Z"
)
_IDEOGRAPH = re.compile(f"[{_HAN}]")
_GLUE = frozenset("\u00a0\u202f\u2007\u2060\ufeff")
"""Spaces that hold a number or a word together."""


@dataclass(frozen=True, slots=True)
class Piece:
    """``text[start:end]``.

    ``opens``: a word may begin here. ``closed``: no text that follows changes the piece.
    """

    start: int
    end: int
    opens: bool
    closed: bool


def pieces(text: str, start: int = 0, *, final: bool) -> Iterator[Piece]:
    """The pieces of a text; only the last may not be closed, and is if nothing follows (``final``).

    ``start`` is 0 or the beginning of a piece that opens a word.
    """
    for found in _PIECE.finditer(text, start):
        start, end = found.span()
        opens = _opens(text, start)
        while end - start > LONG:
            yield Piece(start, start + LONG, opens, True)
            start, opens = start + LONG, False
        yield Piece(start, end, opens, final or end < len(text) or end - start == LONG)


def divides(text: str, at: int) -> bool:
    """Whether a word may begin at ``at`` inside a piece if a token does: before a Chinese character."""
    if at <= 0 or not _IDEOGRAPH.match(text, at):
        return False
    left = text[at - 1]
    return left.isalnum() or (not left.isascii() and category(left) in ("Po", "Pe", "Pf"))


def word_end(text: str, start: int) -> int:
    """How far the word that begins at ``start`` reaches for sure, as long as its piece is not closed."""
    for found in _IDEOGRAPH.finditer(text, start + 1):
        if divides(text, found.start()):
            return found.start()
    return len(text)


def _opens(text: str, at: int) -> bool:
    if at == 0:
        return True
    left, right = text[at - 1], text[at]
    if left in _GLUE or right in _GLUE:
        return False
    if right.isspace():
        return True
    extends = category(right)[0] == "M" or category(right) == "Cf"
    return not extends and (left in "\r\n" or not right.isascii())
