"""A style detector for the text of `ScriptedBackend`: it knows the words by their first letter."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tessy.abc import Options, StyleDetector
from tessy.types import Label, Window

__all__ = ["ScriptedDetector"]

_WORD = re.compile(r"\s*\S+")
_CAPABILITY = re.compile(r"c\d")


class ScriptedDetector(StyleDetector):
    """Words like ``c123`` are capability, all others style; white space belongs to the word behind it."""

    lookahead = 12

    def __init__(self, options: Options | None = None, *, model: str | None = None) -> None:
        super().__init__(options or Options(), model=model)

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        return [self._one(window) for window in windows]

    def _one(self, window: Window) -> list[Label]:
        labels, at, text = [], window.new_from, window.text
        limit = len(text) if window.final else len(text) - self.lookahead
        for match in _WORD.finditer(text):
            start, end = max(match.start(), window.new_from), match.end()
            if end <= window.new_from:
                continue
            if end > limit:
                break
            labels.append(Label(start, end, _CAPABILITY.match(match.group().lstrip()) is None))
            at = end
        if window.final and at < len(text):
            labels.append(Label(at, len(text), False))
        return labels
