"""The journal's commits on virtual time: groups as the thread would make them, and death among them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from tessy.journal.committer import Commit, Committer, Item
from tessy.journal.entries import Entry, Group

if TYPE_CHECKING:
    from .life import Life

__all__ = ["LINGER", "TRANSACTION", "SteppedCommitter"]

LINGER = 0.04
TRANSACTION = 0.06
"""Seconds that a commit takes at most; with the linger it is within the 100 ms of the design."""


class SteppedCommitter(Committer):
    """Commits in the loop: a group after its linger, the next one when the disk is done with it."""

    def __init__(self, commit: Commit, life: Life) -> None:
        super().__init__(commit)
        self._life = life
        self._queue: list[Item] = []
        self._timer: asyncio.TimerHandle | None = None
        self._free = 0.0
        self._closed = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    def put(self, item: Item) -> None:
        self._queue.append(item)
        urgent = item.group is None
        if self._timer is not None and not urgent:
            return
        if self._timer is not None:
            self._timer.cancel()
        due = self._loop.time() + (0.0 if urgent else LINGER)
        self._timer = self._loop.call_at(max(due, self._free), self._turn)

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._queue:
            self._turn()

    def _turn(self) -> None:
        self._timer = None
        group, self._queue = self._queue, []
        life = self._life
        if not life.dead:
            place = life.commits()
            if place == "before":
                life.die()
            if place in ("within", "full"):
                k = life.chance.randrange(len(group))
                group[k] = self._breaking(group[k], place)
            self._commit(group)
            if place == "after":
                life.die()
        self._free = self._loop.time() + life.chance.uniform(0, TRANSACTION)

    def _breaking(self, item: Item, how: str) -> Item:
        """The item, whose last entry is followed by the end: of the disk's room, or of the process."""

        def end() -> None:
            if how == "full":
                raise sqlite3.OperationalError("simulated: database or disk is full")
            self._life.die()

        group = item.group or Group(())
        return item._replace(group=Group(_Then(group.entries, end), group.ended))


class _Then(tuple[Entry, ...]):
    """Entries after which something happens, in mid-transaction."""

    def __new__(cls, entries: Iterable[Entry], then: Callable[[], None]) -> _Then:
        made = super().__new__(cls, entries)
        made.then = then
        return made

    then: Callable[[], None]

    def __iter__(self) -> Iterator[Entry]:
        yield from super().__iter__()
        self.then()
