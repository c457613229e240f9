r"""Where a cut really falls: the nearest place that every tokenizer takes for a boundary.

A prefix is safe to hand over where its encoding does not depend on what follows. For the pre-tokenizers
of Qwen, o200k, Llama 3 and DeepSeek that is so

- before the space in front of a word (the space is left to the next model), never after it;
- after a run of newlines; before one only if no punctuation precedes it: ``".\n\n"`` is one pre-token.

Everything else between spaces is one piece: words with their punctuation, numbers with separators,
identifiers, URLs, LaTeX commands, contractions, graphemes. Text without spaces (Chinese, Japanese) has
places of its own, which the author's token boundaries narrow down.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from unicodedata import category

__all__ = ["first_word_end", "is_space", "place"]

_GLUE = frozenset("\u00a0\u202f\u2007\u2060\ufeff")
"""Spaces that hold a number or a word together."""
_NEWLINES = frozenset("\r\n")
_OPENING = frozenset({"Ps", "Pi"})
_CLOSING = frozenset({"Pe", "Pf"})
_QUOTES = frozenset("\"'`")
_STOPS = frozenset(",.;:!?、。，；：！？…")


def place(text: str, at: int, offsets: Sequence[int] | None = None, *, start: int = 0) -> int:
    """The place at or left of ``at`` where a draft can be handed over, ``start`` if there is none.

    Only newlines that follow punctuation are crossed to the right. Places are their own place.

    Args:
        text: the draft.
        at: where the cut is wanted, in characters.
        offsets: where the author's own tokens begin, ascending; the place is then one of these, 0 or the
            end of the text. ``None`` where the engine hides tokens.
        start: where to give up; what stands left of it is still looked at.

    The time it takes is linear in the distance to the place.
    """
    if at <= 0 or at < start:
        return start
    if at >= len(text):
        return len(text)
    for i in _places(text, at, start):
        if i < start:
            break
        if i == len(text) or _begins_token(offsets, i):
            return i
    return start


def first_word_end(text: str, start: int = 0, offsets: Sequence[int] | None = None) -> int | None:
    """The end of the first word from ``start`` on, with its punctuation, at a place to cut.

    ``None`` while the text does not show what follows the word, or holds none. `place` of the end is not
    left of it.
    """
    n = len(text)
    i = start
    while i < n and (text[i].isspace() or text[i] in _GLUE):  # glue alone is no word
        i += 1
    while (i := i + 1) < n:
        if is_space(text[i]):
            stop = _skip(text, i, n)
            if stop == n:
                return None
            if place(text, i, offsets) >= i:
                return i
            i = stop
        elif _divides(text[i - 1], text[i]) and place(text, i, offsets) == i:
            return i
    return None


def is_space(char: str) -> bool:
    """Whether a character sets words apart: white space, but none that holds a word together."""
    return char.isspace() and char not in _GLUE


def _places(text: str, at: int, start: int) -> Iterator[int]:
    """Safe places from ``at`` to the left; the first may be right of it, across newlines."""
    i = at
    while i > 0 and i >= start:
        if is_space(text[i - 1]) or (i < len(text) and is_space(text[i])):
            first, stop = _run(text, i)
            newline = max((k + 1 for k in range(first, stop) if text[k] in _NEWLINES), default=0)
            glued = newline > 0 and first > 0 and _is_punctuation(text[first - 1])
            if newline and (newline <= at or glued) and not _extends(text[newline : newline + 1]):
                yield newline
            if first > 0 and not glued and _ends_word(text, first) and not _closes(text[stop : stop + 1]):
                yield first
            i = first - 1
        else:
            if _divides(text[i - 1], text[i]):
                yield i
            i -= 1


def _run(text: str, i: int) -> tuple[int, int]:
    """The run of spaces that ``i`` touches."""
    start = i
    while start > 0 and is_space(text[start - 1]):
        start -= 1
    return start, _skip(text, i, len(text))


def _skip(text: str, i: int, end: int) -> int:
    while i < end and is_space(text[i]):
        i += 1
    return i


def _begins_token(offsets: Sequence[int] | None, i: int) -> bool:
    if offsets is None:
        return True
    k = bisect_left(offsets, i)
    return k < len(offsets) and offsets[k] == i


def _ends_word(text: str, i: int) -> bool:
    """Whether what stands left of ``i`` can end a hand-over: no opening mark, no half LaTeX command.

    Nor a space that holds together: to a pre-tokenizer it is one run with the space at ``i``.
    """
    last = text[i - 1]
    if last in _GLUE:
        return False
    if last == "\\":
        return (i - len(text[:i].rstrip("\\"))) % 2 == 0
    if last in _QUOTES:
        return i > 1 and not is_space(text[i - 2]) and category(text[i - 2]) not in _OPENING
    return category(last) not in _OPENING


def _closes(following: str) -> bool:
    """Whether a character belongs to the word before it, in spite of a space."""
    return following != "" and (following in _STOPS or category(following) in _CLOSING)


def _extends(following: str) -> bool:
    """Whether a character continues the grapheme before it (combining marks, joiners, selectors)."""
    return following != "" and (category(following)[0] == "M" or category(following) == "Cf")


def _is_punctuation(char: str) -> bool:
    """As the pre-tokenizers have it: neither space, letter nor number."""
    return category(char)[0] not in "LNZ"


def _divides(left: str, right: str) -> bool:
    """Whether a word ends between two characters without a space, as in Chinese and Japanese.

    A word begins with a Han character, or with anything after kana, Han or a stop, except that kana goes
    on with what precedes it (inflections, particles).
    """
    if right.isascii() and left.isascii():
        return False
    a, b = _script(left), _script(right)
    if b == "han":
        return a in ("han", "kana", "stop", "latin")
    if b in ("latin", "open"):
        wide = a == "stop" and ord(left) >= 0x3000  # not a quote or an apostrophe in a Latin word
        return a in ("han", "kana") or (wide and not right.isdigit())
    return b == "kana" and a == "stop"


def _script(char: str) -> str:
    code = ord(char)
    if (
        0x4E00 <= code <= 0x9FFF
        or 0x3400 <= code <= 0x4DBF
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x323AF
    ):
        return "han"
    if 0x3041 <= code <= 0x30FF:
        return "kana"
    if char.isascii() and char.isalnum():
        return "latin"
    kind = category(char)
    if char in _STOPS or kind in _CLOSING:
        return "stop"
    return "open" if kind in _OPENING else ""
