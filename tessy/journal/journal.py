"""The journal's thread: takes what trajectories commit, in order, and writes it in groups.

Queueing is instant and never blocks the event loop; a group is committed at most ``linger`` seconds
(plus the transaction itself) after its first entry.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from time import monotonic
from typing import NamedTuple

from tessy.errors import TessyError
from tessy.journal.entries import Group
from tessy.journal.records import TurnUsage
from tessy.journal.store import Store
from tessy.journal.trace import Sink

__all__ = ["Journal"]

log: logging.Logger = logging.getLogger(__name__)


class _Queued(NamedTuple):
    """What the thread is to do: write ``group``, then tell ``done``; with neither, close."""

    group: Group | None = None
    done: Future[None] | None = None


class Journal(Sink):
    """Writes to a store from a thread of its own.

    ``ended`` is called in that thread after the commit that finished or failed a row, with the row's
    number and ``"done"`` or ``"failed"``. ``spent`` is called with all usage, as it is queued.
    """

    def __init__(
        self,
        store: Store,
        *,
        ended: Callable[[int, str], None] | None = None,
        spent: Callable[[TurnUsage], None] | None = None,
        linger: float = 0.02,
    ) -> None:
        self._store = store
        self._ended = ended
        self.spent = spent
        self._linger = linger
        self._queue: SimpleQueue[_Queued] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="tessy-journal", daemon=True)
        self._error: BaseException | None = None
        self._closed = False
        self.broken: Future[None] = _future()
        """Gets the exception when the journal can no longer be written (a full disk, say)."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def flush(self) -> None:
        """Return when all that was queued so far is committed.

        Raises:
            TessyError: the journal could not be written.
        """
        done = _future()
        self._queue.put(_Queued(None, done))
        await asyncio.wrap_future(done)

    def close(self) -> None:
        """Commit what is queued and stop the thread. Idempotent."""
        if not self._closed:
            self._closed = True
            self._queue.put(_Queued())
            self._thread.join()

    def put(self, group: Group) -> None:
        """See `Sink.put`."""
        self._check()
        self._queue.put(_Queued(group))

    def settled(self, groups: Sequence[Group]) -> Future[None]:
        """Queue groups; the future is done when they are committed, which nobody is made to hurry for.

        Raises:
            TessyError: the journal can no longer be written.
        """
        self._check()
        done = _future()
        for group in groups:
            self._queue.put(_Queued(group))
        self._queue.put(_Queued(Group(()), done))
        return done

    def _check(self) -> None:
        if self._error is not None:
            raise TessyError(f"the journal can no longer be written: {self._error}")

    def _run(self) -> None:
        closing = False
        while not closing:
            batch = [self._queue.get()]
            deadline = monotonic() + self._linger
            # A flush or the close is waited for: do not linger then.
            while batch[-1].group is not None:
                try:
                    batch.append(self._queue.get(timeout=max(0.0, deadline - monotonic())))
                except Empty:
                    break
            closing = any(group is None and done is None for group, done in batch)
            self._commit(batch)

    def _commit(self, batch: Sequence[_Queued]) -> None:
        groups = [group for group, _ in batch if group is not None]
        if self._error is None:
            try:
                with self._store.transaction():
                    for group in groups:
                        for entry in group.entries:
                            self._store.apply(entry)
                if self._ended is not None:
                    for group in groups:
                        if group.ended is not None:
                            self._ended(*group.ended)
            except Exception as error:  # whatever SQLite or the disk raises ends the run, cleanly
                log.debug("journal", exc_info=True)
                self._error = error
                self.broken.set_exception(TessyError(f"{self._store.path}: cannot be written: {error}"))
        for _, done in batch:
            if done is not None and self._error is None:
                done.set_result(None)
            elif done is not None:
                done.set_exception(TessyError(f"{self._store.path}: cannot be written: {self._error}"))


def _future() -> Future[None]:
    """A future that whoever waits for it cannot cancel: the thread is going to set it."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    return future
