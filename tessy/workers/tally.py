"""What happens in a worker process, summed up for the run's process: few messages, not one a span."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tessy.journal.codec import failure_to
from tessy.journal.records import Failure, TurnUsage
from tessy.observer import Observer
from tessy.types import Span, TurnRecord, Usage

__all__ = ["Sums", "Tally", "read_usage"]


class Sums:
    """Usage by role and purpose."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], TurnUsage] = {}

    def add(self, usage: TurnUsage) -> None:
        """Count it."""
        key = (usage.role, usage.purpose)
        if (before := self._sums.get(key)) is not None:
            usage = replace(
                usage,
                engine=before.engine + usage.engine,
                kept=before.kept + usage.kept,
                marks=before.marks + usage.marks,
                discarded=before.discarded + usage.discarded,
            )
        self._sums[key] = usage

    def take(self) -> list[list[Any]]:
        """All since the last time, as JSON for `read_usage`."""
        sums, self._sums = self._sums, {}
        return [
            [
                one.role,
                one.purpose,
                [one.kept, one.marks, one.discarded],
                [
                    one.engine.prompt,
                    one.engine.cached,
                    one.engine.generated,
                    one.engine.requests,
                    one.engine.estimated,
                ],
            ]
            for one in sums.values()
        ]


def read_usage(rows: Sequence[Any]) -> list[TurnUsage]:
    """The usage in such JSON."""
    return [
        TurnUsage(role, Usage(*engine), kept, marks, discarded, purpose)
        for role, purpose, (kept, marks, discarded), engine in rows
    ]


class Tally(Observer):
    """Counts until it is taken; rows that begin and end are told one by one.

    Args:
        changed: called when there is something to take.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._author: dict[str, str] = {}
        self._rows: list[list[Any]] = []
        self._kept: Counter[str] = Counter()
        self._grown: Counter[str] = Counter()
        self._usage = Sums()
        self._turns = self._switches = self._paused = 0

    def admitted(self, row: str) -> None:
        self._rows.append(["admitted", row])
        self._changed()

    def resumed(self, row: str, tokens: int) -> None:
        self._rows.append(["resumed", row, tokens])
        self._changed()

    def paused(self, count: int) -> None:
        self._paused = count
        self._changed()

    def committed(self, row: str, span: Span) -> None:
        before = self._author.get(row)
        self._author[row] = span.author
        self._switches += before is not None and before != span.author
        self._kept[span.author] += span.tokens
        self._grown[row] += span.tokens
        self._changed()

    def spent(self, row: str, usage: TurnUsage) -> None:
        self._usage.add(usage)
        self._changed()

    def turn(self, row: str, record: TurnRecord) -> None:
        self._turns += 1

    def finished(self, row: str) -> None:
        self._author.pop(row, None)
        self._rows.append(["finished", row])
        self._changed()

    def failed(self, row: str, failure: Failure) -> None:
        self._author.pop(row, None)
        self._rows.append(["failed", row, *failure_to(failure)])
        self._changed()

    def take(self) -> dict[str, Any]:
        """All since the last time, as JSON."""
        taken = {
            "rows": self._rows,
            "kept": dict(self._kept),
            "grown": dict(self._grown),
            "turns": self._turns,
            "switches": self._switches,
            "usage": self._usage.take(),
            "paused": self._paused,
        }
        self._rows, self._kept, self._grown = [], Counter(), Counter()
        self._turns = self._switches = 0
        return taken
