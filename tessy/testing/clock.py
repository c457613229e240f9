"""An event loop whose time is virtual: sleeping costs nothing and order depends on the program alone.

The idea is trio's ``MockClock`` with ``autojump_threshold=0``, applied to asyncio: whenever nothing is
ready to run, time jumps to the next timer.
"""

from __future__ import annotations

import asyncio
import selectors

__all__ = ["VirtualTimeLoop"]


class _Jump(selectors.SelectSelector):
    """A selector that never waits for time, only (when no timer is left) for threads and sockets."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(None if timeout is None else 0)
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time.

    Example:
        ``with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner: runner.run(main())``
    """

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jump.now
