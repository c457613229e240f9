"""What the network sees of a word: small integers, computed once a word and cached by it.

A word is looked up by a checksum, so the weights hold no vocabulary in plain text and a word that training
has not seen is known by its ending, its shape and the marks around it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from zlib import crc32

__all__ = ["FEATURES", "KINDS", "ROWS", "checksum", "features", "gap", "kind", "normal"]

KINDS = '`$\\"“|#/'
"""Opening marks of what is protected; a word's kind is 0 outside, else 1 plus the mark's place here."""

_AFFIX, _SHAPE, _MARKS, _GAPS, _LENGTHS = 2048, 512, 256, 8, 8
FEATURES = 9
"""Features of a word beside its checksum."""
ROWS = 4 * _AFFIX + _SHAPE + 2 * _MARKS + _GAPS + _LENGTHS
"""Rows of the table that features are looked up in."""

_OPENING = "([{*_\"'“‘-#>–—•`$\\"
_CLOSING = ")]}*_\"'”’`$.,:;?!…。，：；？！、"
_DIGITS = re.compile(r"\d+")
_LOWER = re.compile(r"[a-zß-öø-ÿ]+")
_UPPER = re.compile(r"[A-ZÀ-ÖØ-Þ]+")
_LONGEST = 32


def normal(word: str) -> str:
    """The word as it is looked up: lower case, without the marks around it, its digits alike."""
    bare = word.lower().replace("’", "'").lstrip(_OPENING).rstrip(_CLOSING)[:_LONGEST]
    return bare if bare.isalpha() else _DIGITS.sub(_zeros, bare)


def checksum(word: str) -> int:
    """By which a normal word stands in the vocabulary."""
    return crc32(word.encode("utf-8", "replace"))


def gap(space: str) -> int:
    """The class of the white space before a word."""
    lines = space.count("\n")
    if lines:
        return min(lines, 2) + (2 if space[-1] != "\n" else 0)
    return 0 if space == " " else 5 if space else 6


def kind(text: str, at: int) -> int:
    """The kind of what the opening mark at ``at`` protects."""
    return 1 + max(0, KINDS.find(text[at]))


def features(word: str, space: int, known: Mapping[int, int]) -> list[int]:
    """Row numbers of a word after white space of class ``space``: first its own (0: not in the vocabulary).

    Only the first 32 characters of a word count.
    """
    word = word[:_LONGEST]
    bare = normal(word)
    lead = word[: len(word) - len(word.lstrip(_OPENING))]
    trail = word[len(word.rstrip(_CLOSING)) :] if len(lead) < len(word) else ""
    shape = "x" if word.isascii() and word.isalpha() and word.islower() else _shape(word)
    parts = (
        (bare[:2], _AFFIX),
        (bare[:3], _AFFIX),
        (bare[-2:], _AFFIX),
        (bare[-3:], _AFFIX),
        (shape[:12], _SHAPE),
        (lead, _MARKS),
        (trail, _MARKS),
    )
    rows, base = [known.get(checksum(bare), 0) if bare else 0], 0
    for part, size in parts:
        rows.append(base + (1 + checksum(part) % (size - 1) if part else 0))
        base += size
    rows.append(base + space)
    rows.append(base + _GAPS + min(len(bare), 14) // 2)
    return rows


def _shape(word: str) -> str:
    return _UPPER.sub("X", _LOWER.sub("x", _DIGITS.sub("0", word)))


def _zeros(found: re.Match[str]) -> str:
    return "0" * min(len(found.group()), 3)
