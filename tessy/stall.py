"""A time-out for each item of a stream, at the price of one timer a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

__all__ = ["Late", "Stall"]

T = TypeVar("T")


class Late(TimeoutError):
    """No item came in time."""


class Stall:
    """Waits for a stream's items, for each so long and no longer.

    `asyncio.timeout` around every item would set and cancel a timer every time, which costs more than most
    items do. Here the timer stays: when it fires too early, because items have come since, it is set again.

    One stream, one reader; `close` when it is over.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._deadline = 0.0
        self._expired = False

    async def next(self, items: AsyncGenerator[T, None], seconds: float) -> T:
        """The next item. Cancelling it cancels the stream's own wait.

        Raises:
            Late: none came within ``seconds``.
            StopAsyncIteration: there is none.
        """
        loop = self._loop
        task = asyncio.current_task(loop)
        assert task is not None
        asked = task.cancelling()
        self._task, self._deadline = task, loop.time() + seconds
        # A timer that is set for earlier finds out by itself that it is too early.
        if self._timer is None or self._timer.when() > self._deadline:
            self.close()
            self._timer = loop.call_at(self._deadline, self._look)
        try:
            return await anext(items)
        except asyncio.CancelledError as error:
            if self._withdraw(task) and task.cancelling() <= asked:
                raise Late from error
            raise
        finally:
            self._task = None
            # A stream may answer the cancellation with an error of its own, or with an item after all.
            if self._expired:
                self._withdraw(task)

    def close(self) -> None:
        """No further items are waited for. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _withdraw(self, task: asyncio.Task[object]) -> bool:
        """Take the time-out's own cancellation back, if there was one; whether there was."""
        expired, self._expired = self._expired, False
        if expired:
            task.uncancel()
        return expired

    def _look(self) -> None:
        self._timer = None
        if self._task is None:
            return  # nobody waits; who does next sets it again
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._look)
        else:
            self._expired = True
            self._task.cancel()
