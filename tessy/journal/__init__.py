"""The journal: the only truth about a run, an SQLite file with one row per committed span."""

from __future__ import annotations

from tessy.journal.journal import Journal
from tessy.journal.records import Failure, Job, TurnUsage
from tessy.journal.store import Store

__all__ = ["Failure", "Job", "Journal", "Store", "TurnUsage"]
