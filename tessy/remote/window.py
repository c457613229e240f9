"""How many requests an endpoint gets at once: as many as it stands, found out as TCP does.

The window doubles while all goes well (slow start), then grows by one a window's worth of successes, and
shrinks by a third when the endpoint says that it has enough: once a burst, not once a complaint.

Who waits is served by weight: the longest trace goes on first. It is the one that will take longest still,
as lengths spread (log-normal), and the one whose prefix costs most if it is evicted meanwhile.
"""

from __future__ import annotations

import asyncio
from heapq import heapify, heappop, heappush
from itertools import count

__all__ = ["Window"]

_FIRST = 64
_SHRINK = 0.7
_IDLE = 64
"""Of those who have given up waiting, how many at most are kept beside as many as wait."""
_COMPLAINTS = 3
"""Looks at an engine's own queue that must agree before the window shrinks."""


class Window:
    """Places for requests, the heaviest first, and else in the order they were asked for.

    Args:
        most: never more than this.

    Attributes:
        active: places taken.
        waiting: how many wait for one.
    """

    def __init__(self, most: int) -> None:
        self.limit: float = float(min(most, _FIRST))
        self.active: int = 0
        self.waiting: int = 0
        self._most = most
        self._slow_start = True
        self._held = False
        self._complaints = 0
        self._shrunk = float("-inf")
        self._waiters: list[tuple[float, int, asyncio.Future[bool]]] = []
        self._order = count()

    async def acquire(self, weight: float = 0.0) -> bool | None:
        """Wait for a place; whether it was the last one. Cancelled, it leaves no trace.

        Args:
            weight: the heaviest of those who wait is served first.

        Returns:
            ``None`` if those who waited were sent away (`dismiss`): there is no place then.
        """
        if self.waiting or self.active >= int(self.limit):
            waiter = asyncio.get_running_loop().create_future()
            heappush(self._waiters, (-weight, next(self._order), waiter))
            self.waiting += 1
            try:
                given = await waiter
            except asyncio.CancelledError:
                if waiter.cancelled():
                    self._withdrawn()
                elif waiter.result():
                    self.release()  # it had been given to us in the same moment
                raise
            if not given:
                return None
        else:
            self.active += 1
        return self.active >= int(self.limit) or self.waiting > 0

    def release(self) -> None:
        """Give a place back."""
        self.active -= 1
        self._wake()

    def dismiss(self) -> None:
        """Send away all who wait: the endpoint is out of order, and requests that hang keep its places."""
        for _, _, waiter in self._waiters:
            if not waiter.done():
                self.waiting -= 1
                waiter.set_result(False)
        self._waiters.clear()

    def succeeded(self, full: bool) -> None:
        """A request went well; ``full``: while all places were taken."""
        if not full or self._held:
            return
        self.limit = min(self._most, self.limit + (1.0 if self._slow_start else 1.0 / self.limit))
        self._wake()

    def complained(self, started: float, now: float) -> None:
        """The endpoint has enough. Requests begun before the last decrease say nothing new."""
        if started <= self._shrunk:
            return
        self._shrunk = now
        self._slow_start = False
        self.limit = max(1.0, int(self.limit * _SHRINK))

    def observed(self, running: int, waiting: int, now: float) -> None:
        """The engine's own figures: its queue is where growing ends."""
        self._held = waiting > 0
        self._complaints = self._complaints + 1 if waiting * 4 > max(1, running) else 0
        if self._complaints >= _COMPLAINTS:
            self._complaints = 0
            self.complained(now, now)

    def _withdrawn(self) -> None:
        """One does not wait any more. It is passed over when its turn comes, if that is soon enough."""
        self.waiting -= 1
        if len(self._waiters) > 2 * self.waiting + _IDLE:
            self._waiters = [entry for entry in self._waiters if not entry[2].done()]
            heapify(self._waiters)

    def _wake(self) -> None:
        while self._waiters and self.active < int(self.limit):
            _, _, waiter = heappop(self._waiters)
            if not waiter.done():
                self.active += 1
                self.waiting -= 1
                waiter.set_result(True)
