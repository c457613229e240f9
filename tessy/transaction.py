"""Transactions of a SQLite connection that is in autocommit mode."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["transaction"]


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All that the block writes, or nothing if it fails or is cancelled."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # A full disk has made SQLite roll back itself, or a commit fail that is open still.
        if db.in_transaction:
            with suppress(sqlite3.Error):  # what went wrong first is what is told
                db.execute("ROLLBACK")
        raise
