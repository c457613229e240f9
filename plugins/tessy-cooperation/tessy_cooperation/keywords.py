"""Words that say what a writer is about."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["find_words"]


def find_words(words: tuple[str, ...], text: str) -> Iterator[re.Match[str]]:
    """Where ``text`` has one of the words, or one that begins so (``checking``), whatever the case."""
    return (
        re.finditer(rf"\b(?:{'|'.join(map(re.escape, words))})", text, re.IGNORECASE) if words else iter(())
    )
