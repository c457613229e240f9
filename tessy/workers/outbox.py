"""A worker's way to the journal: what is queued here leaves in frames, a few dozen a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

from tessy.journal.entries import Group, packed
from tessy.journal.records import TurnUsage
from tessy.journal.trace import Sink
from tessy.workers.frames import send
from tessy.workers.tally import Sums, Tally

__all__ = ["Outbox"]

_LINGER = 0.03
"""Seconds until what is queued leaves; with the journal's own wait and commit it stays below 100 ms."""
_TELL = 0.1
"""Seconds between two reports of what happens."""
_MANY = 1000
"""Groups that may wait to leave before trajectories wait for their next turn."""


class Outbox(Sink):
    """Sends groups in the order in which they come.

    A group, and so a turn with its last span, is in one frame: of a worker that dies the whole group arrives
    or nothing of it.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.tally: Tally = Tally(self._changed)
        self.spent: Callable[[TurnUsage], None] | None = self._spend
        self._writer = writer
        self._groups: list[Any] = []
        self._sums = Sums()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._told = 0.0
        self._untold = False

    def put(self, group: Group) -> None:
        """See `Sink.put`; never raises."""
        self._groups.append(packed(group))
        if len(self._groups) > _MANY:
            self._room.clear()
        self._wake.set()

    async def room(self) -> None:
        """Return when not too much waits to leave; where the run's process cannot keep up."""
        await self._room.wait()

    def message(self, **fields: Any) -> None:
        """Send something else, after what is queued."""
        self._flush(True)
        send(self._writer, fields)

    async def run(self) -> None:
        """Send what is queued, until cancelled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(_LINGER)
            self._flush(monotonic() - self._told >= _TELL)
            await self._writer.drain()

    async def close(self) -> None:
        """Send all that is left."""
        self._flush(True)
        await self._writer.drain()
        self._writer.close()
        await self._writer.wait_closed()

    def _flush(self, tell: bool) -> None:
        frame: dict[str, Any] = {}
        if self._groups:
            frame["groups"], self._groups = self._groups, []
        if tell and self._untold:
            frame["tally"] = {**self.tally.take(), "spent": self._sums.take()}
            self._untold, self._told = False, monotonic()
        if frame:
            send(self._writer, frame)
        if not self._untold:
            self._wake.clear()
        self._room.set()

    def _spend(self, usage: TurnUsage) -> None:
        self._sums.add(usage)
        self._changed()

    def _changed(self) -> None:
        self._untold = True
        self._wake.set()
