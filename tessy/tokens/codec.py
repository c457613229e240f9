"""One model's vocabulary, as sessions that see tokens use it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

__all__ = ["Codec", "split_controls"]


class Codec(Protocol):
    """Turns text into tokens and back, keeping model text and control strings apart."""

    @property
    def controls(self) -> frozenset[str]:
        """Strings that the tokenizer would turn into control or added tokens."""
        ...

    def encode(self, text: str) -> list[int]:
        """Plain text: nothing in it ever becomes a control or added token."""
        ...

    def encode_control(self, text: str) -> list[int]:
        """Template text: control strings become their tokens."""
        ...

    def piece(self, token: int) -> bytes:
        """The token's raw bytes as text; empty for control tokens."""
        ...

    def is_end(self, token: int) -> bool:
        """Whether the token ends the model's turn."""
        ...

    def bos(self) -> int | None:
        """The token that belongs in front of a prompt, if there is one."""
        ...


def split_controls(text: str, controls: frozenset[str]) -> list[str]:
    """Take text apart so that no piece holds a whole control string.

    For tokenizers that match added tokens even in plain text: pieces are encoded one by one. Every
    control string, also one that overlaps another, is broken behind its first character.
    """
    pattern = _pattern(controls)
    if pattern is None:
        return [text] if text else []
    pieces, start, at = [], 0, 0
    while (match := pattern.search(text, at)) is not None:
        at = match.start() + 1
        pieces.append(text[start:at])
        start = at
    if start < len(text):
        pieces.append(text[start:])
    return pieces


@lru_cache(maxsize=64)
def _pattern(controls: frozenset[str]) -> re.Pattern[str] | None:
    # A string of one character cannot be broken; no tokenizer we know has such a control string.
    strings: Iterable[str] = sorted((c for c in controls if len(c) > 1), key=len)
    return re.compile("|".join(map(re.escape, strings))) if controls else None
