"""Admits trajectories: at most so many at once, in order, and never one waiting for another.

There is no round and no barrier. Each place is a task that takes the next row when its last has ended,
so there is no permit that could leak: a place is busy or it is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

__all__ = ["Scheduler"]


T = TypeVar("T")


class Scheduler(Generic[T]):
    """Writes rows, ``concurrency`` at a time.

    Args:
        write: writes one row; handles what goes wrong with it, so whatever it raises ends the run.
        concurrency: trajectories that are active at once.
    """

    def __init__(self, write: Callable[[T], Awaitable[None]], concurrency: int) -> None:
        self._write = write
        self._concurrency = concurrency

    async def run(self, rows: Iterable[T]) -> None:
        """Return when all rows are written. Cancelling it aborts those under way."""
        queue = iter(rows)

        async def place() -> None:
            for row in queue:
                await self._write(row)

        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(place())
