"""Text as the lexicon reads it: units (a word with the space before it), and what is never style."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tessy.detectors.lexicon.words import is_abbreviation

__all__ = ["LOOKAHEAD", "Protected", "Unit", "protected", "restart", "units"]

LOOKAHEAD = 24
"""Characters, from the space before a word on, that decide about it: the word and mostly the next one."""

_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CJK_STOPS = r"\u3001-\u303f\uff01-\uff0f\uff1a-\uff20…"
_CJK_MARKERS = (
    "嗯|唔|哦|等等|等一下|不对|好的|好吧|首先|其次|接着|然后|接下来|最后|所以|因此|那么|但是|不过|然而|也就是说|"
    "换句话说|另外|此外|或者|也许|可能|例如|比如说|比如|总之|综上所述|同样地?|让我想一想|让我想想|让我看看|我想想|"
    "让我检查一下|让我再检查一下|让我验证一下|我需要|我们需要|我觉得|我认为"
)
# Ordinary words first, for most are: no marker begins as they do.
_UNIT = re.compile(
    rf"\s*(?:[^\s{_CJK}]+|(?P<marker>(?:{_CJK_MARKERS})[{_CJK_STOPS},.!?:]*)|[{_CJK}]+[{_CJK_STOPS}]*)|\s+\Z"
)
# An opening mark protects up to its closing one; one that nobody closes, to the end of its line (a fence:
# of the text). All of it can be told from what stands left, so nothing changes as the text goes on.
# The opening character comes first and what it may be is asked after it: so the search for it is fast.
_PROTECTED = re.compile(
    r"""[`$"“|\\\#/](?:
        (?<=`)``[\s\S]*?(?:```|\Z)
      | (?<=`)[^`\n]*`?
      | (?<=\$)\$[\s\S]*?(?:\$\$|\n\n|\Z)
      | (?<![\w\\)}\]$]\$)(?<=\$)(?![\d\s])[^$\n]*\$?
      | (?<=\\)\([\s\S]*?(?:\\\)|\n\n|\Z)
      | (?<=\\)\[[\s\S]*?(?:\\\]|\n\n|\Z)
      | (?<![\w"]")(?<=")[^"\n]{0,400}"?
      | (?<=“)[^”\n]{0,400}”?
      | (?<=^\|)[^\n]*
      | (?<=[^\n][ ]\#)[ ][^\n]*
      | (?<=[^\n][ ]/)/[ ][^\n]*
    )""",
    re.MULTILINE | re.VERBOSE,
)
# Alone on its line, right after code: an opening fence follows an empty line or a colon, or names a language.
_CLOSING_FENCE = re.compile(r"(?<=[^\s:]\n)```(?!\w)")
_FENCE = "```"
_UNDECIDED = 3
"""Characters at the end of a text where what comes next may yet open something."""


class Unit(NamedTuple):
    """A word with the white space before it: ``text[start:end]``, the word from ``word`` on."""

    start: int
    word: int
    end: int
    cjk_marker: bool = False


def units(text: str, start: int) -> Iterator[Unit]:
    """The units from ``start`` (a unit's beginning) to the end of the text, where the last may be cut off."""
    for found in _UNIT.finditer(text, start):
        begin, end = found.span()
        yield Unit(begin, end - len(found.group().lstrip()), end, found.lastgroup is not None)


def protected(text: str, *, anchored: bool = False) -> list[tuple[int, int]]:
    """Stretches that are never style: code, formulas, quotations, tables, comments.

    ``anchored``: text stands left of this one, so the first fence may close a block that opened there.
    """
    split = _CLOSING_FENCE.search(text) if anchored else None
    if split is None or _FENCE in text[: split.start()]:
        return [found.span() for found in _PROTECTED.finditer(text)]
    before = _PROTECTED.finditer(text, 0, split.start())
    return [found.span() for found in (*before, *_PROTECTED.finditer(text, split.end()))]


class Protected:
    """What `protected` says, of a text that grows: only its end is searched again."""

    __slots__ = ("_at", "_spans", "_sure", "_text")

    def __init__(self) -> None:
        self._text = ""
        self._spans: list[tuple[int, int]] = []
        self._sure = 0  # of them, those that end before the text does: more text cannot change them
        self._at = 0  # left of it nothing begins that is not among the sure ones

    def read(self, text: str, *, anchored: bool) -> Sequence[tuple[int, int]]:
        """The same as `protected`; good until the next call."""
        if _FENCE in text:
            self._text = ""
            return protected(text, anchored=anchored)
        if not self._text or not text.startswith(self._text):
            self._sure = self._at = 0
        del self._spans[self._sure :]
        self._text = text
        end = len(text)
        for found in _PROTECTED.finditer(text, self._at):
            span = found.span()
            self._spans.append(span)
            if span[1] < end:
                self._sure += 1
        sure = self._spans[self._sure - 1][1] if self._sure else 0
        # What reaches the end is looked for again from its beginning.
        begin = self._spans[-1][0] if len(self._spans) > self._sure else end
        self._at = max(sure, min(begin, end - _UNDECIDED))
        return self._spans


def restart(text: str, before: int) -> int:
    """The nearest place left of ``before`` from which the text can be read on, not knowing what stands left.

    That is where a line or a sentence begins: what a word is called depends on its sentence alone.
    """
    at = len(text[:before].rstrip())  # white space at the end is called what the word before it was
    while at > 0:
        at = max(text.rfind(mark, 0, at) for mark in ("\n", ". ", "? ", "! "))
        if at < 0:
            break
        if text[at] == "\n":
            return len(text[:at].rstrip())
        if not is_abbreviation(text[max(0, at - 20) : at + 1].split()[-1]):
            return at + 1
    return 0
