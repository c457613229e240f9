"""The journal: takes what trajectories commit, in order, and writes it in groups.

Queueing is instant and never blocks the event loop; when a group is committed says a
`tessy.journal.committer.Committer`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from tessy.errors import TessyError
from tessy.faults import cannot_write
from tessy.journal.committer import Commit, Committer, Item, ThreadCommitter
from tessy.journal.entries import Group
from tessy.journal.records import TurnUsage
from tessy.journal.store import Store
from tessy.journal.trace import Sink

__all__ = ["Journal"]

log: logging.Logger = logging.getLogger(__name__)


class Journal(Sink):
    """Writes to a store, on the thread of its committer.

    ``ended`` is called in that thread after the commit that finished or failed a row, with the row's
    number and ``"done"`` or ``"failed"``. ``spent`` is called with all usage, as it is queued.
    """

    def __init__(
        self,
        store: Store,
        *,
        ended: Callable[[int, str], None] | None = None,
        spent: Callable[[TurnUsage], None] | None = None,
        committer: Callable[[Commit], Committer] = ThreadCommitter,
    ) -> None:
        self._store = store
        self._ended = ended
        self.spent = spent
        self._committer = committer(self._commit)
        self._error: BaseException | None = None
        self._closed = False
        self.broken: Future[None] = _future()
        """Gets the exception when the journal can no longer be written (a full disk, say)."""

    def start(self) -> None:
        """From now on what is queued is committed."""
        self._committer.start()

    async def flush(self) -> None:
        """Return when all that was queued so far is committed.

        Raises:
            TessyError: the journal could not be written.
        """
        done = _future()
        self._committer.put(Item(done=done))
        await asyncio.wrap_future(done)

    def close(self) -> None:
        """Commit what is queued; nothing more is written. Idempotent."""
        if not self._closed:
            self._closed = True
            self._committer.close()

    def put(self, group: Group) -> None:
        """See `Sink.put`."""
        self._check()
        self._committer.put(Item(group))

    def settled(self, groups: Sequence[Group]) -> Future[None]:
        """Queue groups; the future is done when they are committed, which nobody is made to hurry for.

        Raises:
            TessyError: the journal can no longer be written.
        """
        self._check()
        done = _future()
        for group in groups:
            self._committer.put(Item(group))
        self._committer.put(Item(Group(()), done))
        return done

    def _check(self) -> None:
        if self._error is not None:
            raise TessyError(f"the journal can no longer be written: {self._error}")

    def _commit(self, items: Sequence[Item]) -> None:
        groups = [item.group for item in items if item.group is not None]
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
                self.broken.set_exception(cannot_write(self._store.path, error))
        for item in items:
            if item.done is not None and self._error is None:
                item.done.set_result(None)
            elif item.done is not None and self._error is not None:
                item.done.set_exception(cannot_write(self._store.path, self._error))


def _future() -> Future[None]:
    """A future that whoever waits for it cannot cancel: the thread is going to set it."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    return future
