"""The short form of the crash test; ``make soak`` runs the long one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from soak.kills import fault_in, kill


def test_killed_at_random_moments_nothing_is_lost(tmp_path: Path) -> None:
    found = kill(5, name="simulated", rows=10, seed=1, folder=tmp_path)
    assert found.clean, found
    assert found.kills == 5
    assert found.rows >= 10
    # What it would have found.
    journal = tmp_path / "run-0" / "journal.sqlite"
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("DELETE FROM spans WHERE seq = 1 AND row = 1")
    assert fault_in(journal) == "1 traces miss some spans"
