"""The journal: takes what trajectories commit, in order, and writes it in groups.

Queueing is instant and never blocks the event loop; when a group is committed says a
`tessy.journal.committer.Committer`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

from tessy.errors import TessyError
from tessy.journal import codec
from tessy.journal.committer import Commit, Committer, Item, ThreadCommitter
from tessy.journal.records import Failure, TurnUsage
from tessy.journal.store import Store
from tessy.types import Prepared, Selected, Span, TurnRecord

__all__ = ["Journal", "TraceLog"]

log: logging.Logger = logging.getLogger(__name__)

Entry = Callable[[Store], None]


class Journal:
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

    def put(self, *entries: Entry, ended: tuple[int, str] | None = None) -> None:
        """Queue entries that belong together."""
        if self._error is not None:
            raise TessyError(f"the journal can no longer be written: {self._error}")

        def write(store: Store) -> None:
            for entry in entries:
                entry(store)

        self._committer.put(Item(write, ended=ended))

    def trace(self, n: int, candidate: int = 0, attempt: int = 0, seq: int = 0) -> TraceLog:
        """The log of one trajectory, whose next span gets number ``seq``."""
        return TraceLog(self, n, candidate, attempt, seq)

    def _commit(self, group: Sequence[Item]) -> None:
        if self._error is None:
            try:
                with self._store.transaction():
                    for item in group:
                        if item.write is not None:
                            item.write(self._store)
                if self._ended is not None:
                    for item in group:
                        if item.ended is not None:
                            self._ended(*item.ended)
            except Exception as error:  # whatever SQLite or the disk raises ends the run, cleanly
                log.debug("journal", exc_info=True)
                self._error = error
                self.broken.set_exception(TessyError(f"{self._store.path}: cannot be written: {error}"))
        for item in group:
            if item.done is not None and self._error is None:
                item.done.set_result(None)
            elif item.done is not None:
                item.done.set_exception(TessyError(f"{self._store.path}: cannot be written: {self._error}"))


def _future() -> Future[None]:
    """A future that whoever waits for it cannot cancel: the thread is going to set it."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    return future


class TraceLog:
    """What one trajectory commits, in order.

    All is encoded once before it is queued: what cannot be stored raises here (`TypeError`,
    `ValueError`, `OverflowError`), where it costs that trajectory and not the journal's thread.
    """

    def __init__(self, journal: Journal, n: int, candidate: int, attempt: int, seq: int) -> None:
        self._journal = journal
        self._n = n
        self._candidate = candidate
        self._attempt = attempt
        self._seq = seq

    def prepared(self, prepared: Prepared) -> None:
        """What the policy prepared for the row."""
        codec.check((codec.prepared_to(prepared),))
        self._journal.put(lambda store: store.set_prepared(self._n, prepared))

    def commit(
        self, turn: int, span: Span | None, record: TurnRecord | None = None, usage: TurnUsage | None = None
    ) -> None:
        """A piece of a turn; with ``record`` its last."""
        entries: list[Entry] = []
        if span is not None:
            codec.check(codec.span_to(span))
            entries.append(
                partial(Store.add_span, n=self._n, candidate=self._candidate, seq=self._seq, span=span)
            )
        if record is not None:
            codec.check(codec.turn_to(record))
            entries.append(partial(Store.add_turn, n=self._n, candidate=self._candidate, turn=record))
        if usage is not None:
            entries.append(self._usage(turn, usage))
        self._journal.put(*entries)
        self._seq += span is not None

    def usage(self, turn: int, usage: TurnUsage) -> None:
        """What a request of the policy's own cost."""
        self._journal.put(self._usage(turn, usage))

    def give_up(self, failure: Failure) -> None:
        """This candidate cannot be finished; the row goes on with others."""
        self._journal.put(lambda store: store.give_up(self._n, self._candidate, self._attempt, failure))

    def select(self, selected: Selected) -> None:
        """One of several candidates becomes the row."""
        codec.check((codec.selected_to(selected),))
        self._journal.put(lambda store: store.select(self._n, selected))

    def finish(self) -> None:
        """The row is complete."""
        self._journal.put(lambda store: store.finish(self._n), ended=(self._n, "done"))

    def fail(self, failure: Failure) -> None:
        """The row cannot be finished in this attempt."""
        self._journal.put(
            lambda store: store.fail(self._n, self._attempt, failure), ended=(self._n, "failed")
        )

    def _usage(self, turn: int, usage: TurnUsage) -> Entry:
        codec.check(codec.usage_to(usage))
        if self._journal.spent is not None:
            self._journal.spent(usage)
        return partial(
            Store.add_usage,
            n=self._n,
            candidate=self._candidate,
            turn=turn,
            attempt=self._attempt,
            usage=usage,
        )
