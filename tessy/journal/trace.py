"""What one trajectory commits, encoded where it is written, for whatever takes it to the journal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from tessy.journal import codec
from tessy.journal.entries import Entry, Group
from tessy.journal.records import Failure, TurnUsage
from tessy.types import Prepared, Selected, Span, TurnRecord

__all__ = ["Sink", "TraceLog"]


class Sink(ABC):
    """Takes groups of entries, in order, without ever blocking: the journal, or a way to it.

    ``spent`` is called with all usage, as it is queued.
    """

    spent: Callable[[TurnUsage], None] | None = None

    @abstractmethod
    def put(self, group: Group) -> None:
        """Queue entries that belong together.

        Raises:
            TessyError: the journal can no longer be written.
        """

    def trace(self, n: int, candidate: int = 0, attempt: int = 0, seq: int = 0) -> TraceLog:
        """The log of one trajectory, whose next span gets number ``seq``."""
        return TraceLog(self, n, candidate, attempt, seq)


class TraceLog:
    """What one trajectory commits, in order.

    All is encoded once before it is queued: what cannot be stored raises here (`TypeError`,
    `ValueError`, `OverflowError`), where it costs that trajectory and not the journal's thread.
    """

    def __init__(self, sink: Sink, n: int, candidate: int, attempt: int, seq: int) -> None:
        self._sink = sink
        self._n = n
        self._candidate = candidate
        self._attempt = attempt
        self._seq = seq

    def prepared(self, prepared: Prepared) -> None:
        """What the policy prepared for the row."""
        self._put(_entry("prepared", codec.prepared_to(prepared), self._n))

    def commit(
        self, turn: int, span: Span | None, record: TurnRecord | None = None, usage: TurnUsage | None = None
    ) -> None:
        """A piece of a turn; with ``record`` its last."""
        n, candidate = self._n, self._candidate
        entries: list[Entry] = []
        if span is not None:
            entries.append(_entry("span", n, candidate, self._seq, *codec.span_to(span)))
        if record is not None:
            entries.append(_entry("turn", n, candidate, *codec.turn_to(record)))
        if usage is not None:
            entries.append(self._usage(turn, usage))
        self._put(*entries)
        self._seq += span is not None

    def usage(self, turn: int, usage: TurnUsage) -> None:
        """What a request of the policy's own cost."""
        self._put(self._usage(turn, usage))

    def give_up(self, failure: Failure) -> None:
        """This candidate cannot be finished; the row goes on with others."""
        values = (self._n, self._candidate, self._attempt, failure.reason, failure.message)
        self._put(Entry("given_up", values))

    def select(self, selected: Selected) -> None:
        """One of several candidates becomes the row."""
        self._put(_entry("selected", self._n, selected.candidate, codec.selected_to(selected)))

    def finish(self) -> None:
        """The row is complete."""
        self._sink.put(Group((Entry("done", (self._n,)),), (self._n, "done")))

    def fail(self, failure: Failure) -> None:
        """The row cannot be finished in this attempt."""
        values = (self._n, self._attempt, *codec.failure_to(failure))
        self._sink.put(Group((Entry("failed", values),), (self._n, "failed")))

    def _put(self, *entries: Entry) -> None:
        self._sink.put(Group(entries))

    def _usage(self, turn: int, usage: TurnUsage) -> Entry:
        entry = _entry("usage", self._n, self._candidate, turn, self._attempt, *codec.usage_to(usage))
        if self._sink.spent is not None:
            self._sink.spent(usage)
        return entry


def _entry(op: str, *values: object) -> Entry:
    codec.check(values)
    return Entry(op, values)
