"""What a stream that was aborted has cost: servers tell what was cached at its end only."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Prefix"]

_BLOCK = 16
"""Tokens of a block in vLLM's prefix cache; only whole blocks are found again."""


class Prefix:
    """What of a trajectory's next prompt its server has probably cached: what it saw or wrote last time.

    An estimate: a server whose cache is full may have dropped it.
    """

    def __init__(self) -> None:
        self._prompt = 0
        self._written: Sequence[int] = ()

    def cached(self, prompt: Sequence[int]) -> int:
        """Tokens of ``prompt``, which begins as the last one did."""
        found = min(self._prompt, len(prompt))
        for ours, its in zip(self._written, prompt[found : found + len(self._written)], strict=False):
            if ours != its:
                break
            found += 1
        return max(0, min(found, len(prompt) - 1)) // _BLOCK * _BLOCK

    def seen(self, prompt: int, written: Sequence[int]) -> None:
        """The server has read a prompt of that many tokens and gone on with those."""
        self._prompt, self._written = prompt, written
