"""Requests and tokens a minute, as a token bucket that may go into debt."""

from __future__ import annotations

import asyncio

__all__ = ["Rate"]

_BURST = 0.1
"""Of a minute's worth, what may be spent at once."""


class Rate:
    """At most ``per_minute`` units a minute; ``None``: no limit.

    A request larger than the bucket waits until the bucket is full and leaves a debt, so it is neither
    refused nor does it wait for ever.
    """

    def __init__(self, per_minute: int | None) -> None:
        self._rate = None if per_minute is None else per_minute / 60
        self._size = max(1.0, (per_minute or 0) * _BURST)
        self._level = self._size
        self._at: float | None = None
        self._turn = asyncio.Lock()

    async def take(self, units: float) -> bool:
        """Wait until so much may be spent, in the order of the callers; whether there was a wait."""
        if self._rate is None:
            return False
        waited = self._turn.locked()
        async with self._turn:
            wanted = min(units, self._size)
            while (missing := wanted - self._filled()) > 1e-9:
                waited = True
                await asyncio.sleep(missing / self._rate)
            self._level -= units
        return waited

    def spend(self, units: float) -> None:
        """Book what was spent beyond what had been announced."""
        if self._rate is not None:
            self._filled()
            self._level -= units

    def _filled(self) -> float:
        now = asyncio.get_running_loop().time()
        if self._at is not None and self._rate is not None:
            self._level = min(self._size, self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level
