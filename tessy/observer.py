"""What happens in a run, for whoever looks on: progress panels, the preview, statistics."""

from __future__ import annotations

from tessy.journal.records import Failure, TurnUsage
from tessy.types import Span, TurnRecord

__all__ = ["Observer"]


class Observer:
    """Called on the event loop, at once, and never awaited: do little. The default does nothing."""

    def admitted(self, row: str) -> None:
        """A trajectory begins or goes on."""

    def paused(self, count: int) -> None:
        """So many active trajectories now wait for room in an engine's memory."""

    def committed(self, row: str, span: Span) -> None:
        """A span was queued to the journal."""

    def spent(self, row: str, usage: TurnUsage) -> None:
        """What a turn, a piece of one, or a request of the policy's own cost."""

    def turn(self, row: str, record: TurnRecord) -> None:
        """A turn has ended."""

    def finished(self, row: str) -> None:
        """The row is complete."""

    def failed(self, row: str, failure: Failure) -> None:
        """The row cannot be finished."""
