"""What happens in a run, for whoever looks on: progress panels, the preview, statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tessy.journal.records import Failure, TurnUsage
from tessy.types import Span, TurnRecord

__all__ = ["Observer"]


class Observer:
    """Called on the event loop, at once, and never awaited: do little. The default does nothing."""

    def admitted(self, row: str) -> None:
        """A trajectory begins or goes on."""

    def resumed(self, row: str, tokens: int) -> None:
        """An admitted trajectory goes on from so many tokens that the journal has."""

    def paused(self, count: int) -> None:
        """So many active trajectories now wait for room in an engine's memory."""

    def committed(self, row: str, span: Span) -> None:
        """A span was queued to the journal."""

    def spent(self, row: str, usage: TurnUsage) -> None:
        """What a turn, a piece of one, or a request of the policy's own cost."""

    def turn(self, row: str, record: TurnRecord) -> None:
        """A turn has ended."""

    def progress(
        self,
        kept: Mapping[str, int],
        turns: int,
        switches: int,
        usage: Sequence[TurnUsage],
        grown: Mapping[str, int],
    ) -> None:
        """What worker processes have done since the last time, a few times a second.

        In the place of `committed`, `turn` and `spent`, where a run has several: tokens kept by author, turns
        that ended, hand-overs, usage summed by role and purpose, and tokens kept by row.
        """

    def left(self, row: str) -> None:
        """A trajectory is under way no more, as its worker process has died; it will be admitted again."""

    def finished(self, row: str) -> None:
        """The row is complete."""

    def failed(self, row: str, failure: Failure) -> None:
        """The row cannot be finished."""
