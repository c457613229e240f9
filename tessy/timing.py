"""Keeps in the journal how long a run has been writing, so that a budget of time adds up over resumes."""

from __future__ import annotations

from contextlib import suppress

from tessy.budget import Meter
from tessy.errors import TessyError
from tessy.journal import Journal
from tessy.journal.entries import Entry, Group
from tessy.journal.records import TurnUsage

__all__ = ["Timing"]

_EVERY = 1.0
"""Seconds between two notes of the time, which go with what is journaled anyway."""


class Timing:
    """The time of one run; ``before`` is that of earlier processes."""

    def __init__(self, meter: Meter, before: float) -> None:
        self._meter = meter
        self._base = before - meter.seconds
        self._noted = meter.seconds

    def spend(self, journal: Journal, usage: TurnUsage) -> None:
        """Meter what is being journaled, and note the time with it now and then."""
        self._meter.spend(usage)
        if self._meter.seconds - self._noted >= _EVERY:
            self.save(journal)

    def save(self, journal: Journal) -> None:
        """Note the time; a journal that can no longer be written is being reported already."""
        self._noted = self._meter.seconds
        text = f"{self._base + self._noted:.3f}"
        with suppress(TessyError):
            journal.put(Group((Entry("meta", ("seconds", text)),)))
