"""A plugin package for the benchmark of schedules: detector ``words``, which is never wrong.

It knows the words of simulated models by their first letter: what a schedule takes is then no matter of how
well a detector reads text that is none. It is sure of a word when the next one has come.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tessy.hooks import Plugin, hookimpl

_WORD = re.compile(r"\s*\S+")
_CAPABILITY = re.compile(r"\s*c\d")


def _load() -> Any:
    from tessy import Label, StyleDetector, Window

    class Words(StyleDetector):
        lookahead = 24
        by_words = True

        async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
            return [self._read(window, 0 if window.final else 1) for window in windows]

        def guess(self, window: Window) -> list[Label]:
            return self._read(window, 0)

        def _read(self, window: Window, behind: int) -> list[Label]:
            """All words with so many behind them, the last of which may have only begun."""
            found = list(_WORD.finditer(window.text, window.new_from))
            known = found[: len(found) - behind]
            labels = [Label(m.start(), m.end(), _CAPABILITY.match(m.group()) is None) for m in known]
            end = labels[-1].end if labels else window.new_from
            if behind == 0 and end < len(window.text):
                labels.append(Label(end, len(window.text), False))
            return labels

    return Words


@hookimpl
def tessy_style_detectors() -> list[Plugin]:
    return [Plugin("words", "knows the simulated models' words", _load)]
