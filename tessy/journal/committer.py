"""When queued entries are committed: in groups, on a thread of its own.

Apart from the journal, so that a simulation can put its own clock and its own order in the thread's place.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple, TypeAlias

from tessy.journal.entries import Group

__all__ = ["Commit", "Committer", "Item", "ThreadCommitter"]


class Item(NamedTuple):
    """What is queued: entries that belong together, or a wish to know when all before it is committed.

    Attributes:
        group: the entries; ``None``: there is only somebody who waits, and who is not to wait long.
        done: who waits.
    """

    group: Group | None = None
    done: Future[None] | None = None


Commit: TypeAlias = Callable[[Sequence[Item]], None]
"""Commits a group in one transaction and tells those who wait; never raises."""


class Committer(ABC):
    """Takes items in order and commits them in order, in groups."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit

    @abstractmethod
    def start(self) -> None:
        """From now on items are committed."""

    @abstractmethod
    def put(self, item: Item) -> None:
        """Queue an item. Instant."""

    @abstractmethod
    def close(self) -> None:
        """Commit what is queued and stop. Called once."""


class ThreadCommitter(Committer):
    """Commits on a thread, at most ``linger`` seconds (plus the transaction) after a group's first item.

    Only a group's first item wakes the thread, and one that somebody waits for: waking it takes longer than
    queueing, for both threads want the interpreter then.
    """

    def __init__(self, commit: Commit, *, linger: float = 0.04) -> None:
        super().__init__(commit)
        self._linger = linger
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tessy-journal", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, item: Item) -> None:
        self._queue.put(item)
        if item.group is None:
            self._hurry.set()

    def close(self) -> None:
        self._queue.put(None)
        self._hurry.set()
        self._thread.join()

    def _run(self) -> None:
        item = self._queue.get()
        while item is not None:
            group = [item]
            # A flush or the close is waited for: do not linger then.
            if item.group is not None:
                self._hurry.wait(self._linger)
            # One that is queued from here on is in this group or finds the next one in a hurry.
            self._hurry.clear()
            with suppress(Empty):
                while (item := self._queue.get_nowait()) is not None:
                    group.append(item)
            self._commit(group)
            if item is not None:
                item = self._queue.get()
