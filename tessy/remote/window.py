"""How many requests an endpoint gets at once: as many as it stands, found out as TCP does.

The window doubles while all goes well (slow start), then grows by one a window's worth of successes, and
shrinks by a third when the endpoint says that it has enough: once a burst, not once a complaint.
"""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Window"]

_FIRST = 64
_SHRINK = 0.7
_COMPLAINTS = 3
"""Looks at an engine's own queue that must agree before the window shrinks."""


class Window:
    """Places for requests, given in the order they were asked for.

    Args:
        most: never more than this.
    """

    def __init__(self, most: int) -> None:
        self.limit: float = float(min(most, _FIRST))
        self.active: int = 0
        self._most = most
        self._slow_start = True
        self._held = False
        self._complaints = 0
        self._shrunk = float("-inf")
        self._waiters: deque[asyncio.Future[bool]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiters)

    async def acquire(self) -> bool | None:
        """Wait for a place; whether it was the last one. Cancelled, it leaves no trace.

        Returns:
            ``None`` if those who waited were sent away (`dismiss`): there is no place then.
        """
        if self._waiters or self.active >= int(self.limit):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                given = await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    if waiter.result():
                        self.release()  # it had been given to us in the same moment
                elif waiter in self._waiters:  # else who released a place has passed over it
                    self._waiters.remove(waiter)
                raise
            if not given:
                return None
        else:
            self.active += 1
        return self.active >= int(self.limit) or bool(self._waiters)

    def release(self) -> None:
        """Give a place back."""
        self.active -= 1
        self._wake()

    def dismiss(self) -> None:
        """Send away all who wait: the endpoint is out of order, and requests that hang keep its places."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(False)

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

    def _wake(self) -> None:
        while self._waiters and self.active < int(self.limit):
            waiter = self._waiters.popleft()
            if not waiter.done():
                self.active += 1
                waiter.set_result(True)
