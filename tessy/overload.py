"""Says when a process cannot keep up with its streams: it reads them late then, and cuts late.

What an engine writes until a cut is seen is thrown away, and paid for. How much of it there is shows live;
that the reader is the cause shows nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from statistics import median

from tessy.abc import Backend

__all__ = ["Overload", "watched"]

log: logging.Logger = logging.getLogger(__name__)

_EVERY = 0.1
"""Seconds between two looks."""
_LOOKS = 200
"""Looks that are judged together: many rows that begin, or another program, may take a core for a moment."""
_LATE = 0.02
"""Seconds, in the middle, that are too much: an engine writes a token or two meanwhile."""


class Overload:
    """Judges how late an event loop comes to what is due.

    Args:
        processes: that read the run's streams.
        cores: that they may use.
    """

    def __init__(self, processes: int, *, cores: int | None = None) -> None:
        self._processes = processes
        self._cores = _cores() if cores is None else cores
        self._late: list[float] = []

    def look(self, late: float) -> str | None:
        """What is to be said, if anything, once it was so many seconds late again."""
        self._late.append(late)
        if len(self._late) < _LOOKS:
            return None
        middle = median(self._late)
        self._late.clear()
        if middle < _LATE:
            return None
        return (
            f"streams are read {1000 * middle:.0f} ms late, and what engines write meanwhile is thrown away: "
            f"this process has too much to do; {self._advice()}"
        )

    def _advice(self) -> str:
        if self._cores <= self._processes:
            return "lower --concurrency (there is no core for another process)"
        return (
            f"stop the run (Ctrl-C) and go on with --workers {self._processes + 1} or more (there are "
            f"{self._cores} cores), or lower --concurrency"
        )


@asynccontextmanager
async def watched(backends: Iterable[Backend], processes: int | None = 1) -> AsyncIterator[None]:
    """Warn, once, if this process's event loop cannot keep up while the body runs.

    Not where an engine computes in this process: it cannot be had in several, and sets the pace.

    Args:
        backends: started ones.
        processes: that read streams in this run; ``None``: another of them watches for all.
    """
    if processes is None or any(backend.in_process for backend in backends):
        yield
        return
    task = asyncio.create_task(_watch(Overload(processes)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _watch(overload: Overload) -> None:
    now = asyncio.get_running_loop().time
    while True:
        due = now() + _EVERY
        await asyncio.sleep(_EVERY)
        if (found := overload.look(now() - due)) is not None:
            log.warning("%s", found)
            return


def _cores() -> int:
    """Those that this process may use; containers and job schedulers give less than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
