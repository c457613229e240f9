"""What a row says, as a bag of the student's tokens: all of them, and those of style."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence

import orjson

__all__ = ["Bag", "count_terms", "pack", "unpack"]

Bag = Mapping[str, tuple[int, int]]
"""A token's text to how often it stands in the row, and how often in style."""


def count_terms(phases: Iterable[tuple[str, Sequence[int], Sequence[bool]]]) -> Bag:
    """The bag of a row: of each phase the text, where its tokens begin, and whether each is style.

    Tokens are told apart by their text. A character that several tokens share is one term.
    """
    bag: dict[str, tuple[int, int]] = {}
    for text, offsets, style in phases:
        for start, end, is_style in zip(offsets, (*offsets[1:], len(text)), style, strict=True):
            if start < end:
                total, styled = bag.get(text[start:end], (0, 0))
                bag[text[start:end]] = total + 1, styled + is_style
    return bag


def pack(bag: Bag) -> bytes:
    """A bag as bytes; `unpack` reads them."""
    return zlib.compress(orjson.dumps([[term, *counts] for term, counts in bag.items()]), 1)


def unpack(data: bytes) -> Bag:
    """What `pack` gave."""
    return {term: (total, style) for term, total, style in orjson.loads(zlib.decompress(data))}
