"""Services that notice late, or never, that nobody reads any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from math import isfinite

from tessy.testing.simulated.engine import Clock
from tessy.testing.simulated.generation import Piece

__all__ = ["Lingering"]


class Lingering:
    """Generations that go on for ``seconds`` of the model after their reader has left."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
        """The same pieces; closing this leaves them running for a while."""
        queue: asyncio.Queue[Piece | None] = asyncio.Queue()
        task = asyncio.create_task(_pump(pieces, queue))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while (piece := await queue.get()) is not None:
                yield piece
            await task
        finally:
            if not task.done() and isfinite(self._seconds):
                asyncio.get_running_loop().call_later(self._seconds / self._clock.scale, task.cancel)

    async def stop(self) -> None:
        """End all at once."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(pieces: AsyncGenerator[Piece, None], queue: asyncio.Queue[Piece | None]) -> None:
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                queue.put_nowait(piece)
    finally:
        queue.put_nowait(None)
