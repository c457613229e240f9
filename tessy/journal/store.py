"""Synchronous access to ``journal.sqlite``: every statement that tessy runs on it stands here.

One connection writes (the journal's thread), any number read; WAL mode keeps them apart. Nothing here
commits but `Store.transaction`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from tessy.faults import cannot_open, cannot_write, is_out_of_room
from tessy.journal import codec
from tessy.journal.entries import Entry
from tessy.journal.records import Failure, Job
from tessy.journal.schema import MIGRATIONS, SCHEMA, VERSION
from tessy.journal.versions import other_version
from tessy.transaction import transaction
from tessy.types import Prepared, Selected, Span, TurnRecord

__all__ = ["Store"]

_SPAN = "turn, author, phase, kind, text, tokens, exact, ids, covered, via, labels"
_TURN = "n, role, phase, kept, drafted, tokens, finish, cut, note"


def _marks(count: int) -> str:
    return ", ".join("?" * count)


_STATEMENTS = {
    "prepared": "UPDATE rows SET prepared = ? WHERE n = ?",
    "span": f"INSERT INTO spans (row, candidate, seq, {_SPAN}) VALUES ({_marks(14)})",
    "turn": f"INSERT INTO turns (row, candidate, {_TURN}) VALUES ({_marks(11)})",
    "usage": f"INSERT INTO usage VALUES ({_marks(14)})",
    "given_up": f"INSERT OR REPLACE INTO given_up VALUES ({_marks(5)})",
    "done": "UPDATE rows SET status = 'done' WHERE n = ?",
    "meta": "INSERT OR REPLACE INTO meta VALUES (?, ?)",
}
"""What `Entry.op` may be, with ``selected`` and ``failed``, which take two statements."""


class Store:
    """One connection to a journal. Not thread-safe: one store a thread."""

    def __init__(self, path: Path, *, write: bool = True) -> None:
        self.path = path
        try:
            if write:
                # Made private before SQLite opens it: its side files take over the permissions.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            uri = f"{path.absolute().as_uri()}?mode={'rwc' if write else 'ro'}"
            self._db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA busy_timeout = 10000")
            if write:
                self._open()
            self._check_version()
        except (sqlite3.Error, OSError) as error:
            if write and is_out_of_room(error):
                raise cannot_write(path, error) from error
            raise cannot_open(path, error) from error

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing that was committed; a power cut may lose the last moments,
        # but never leaves a torn file.
        self._db.execute("PRAGMA synchronous = NORMAL")
        if not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
            with self.transaction():
                self._run(SCHEMA)
                self.set_meta("version", str(VERSION))
        for version, migration in MIGRATIONS.items():
            if self._version() == str(version):
                with self.transaction():
                    self._run(migration)
                    self.set_meta("version", str(version + 1))

    def _run(self, statements: str) -> None:
        for statement in statements.split(";\n"):
            if statement.strip():
                self._db.execute(statement)

    def _check_version(self) -> None:
        found = self._version()
        if found != str(VERSION):
            raise other_version(self.path, found)

    def _version(self) -> str | None:
        """The format; ``None``: of another program's file, or of one that is empty."""
        known = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        return self.meta("version") if known else None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        with transaction(self._db):
            yield

    def close(self) -> None:
        """Close the connection; the last one folds the WAL into the file."""
        self._db.close()

    # --- meta -----------------------------------------------------------------------------------

    def meta(self, key: str) -> str | None:
        """A value of table ``meta``."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Set a value of table ``meta``."""
        self.apply(Entry("meta", (key, value)))

    def seconds(self) -> float:
        """How long has been written here, in all processes."""
        return float(self.meta("seconds") or 0.0)

    # --- rows -----------------------------------------------------------------------------------

    def want_none(self) -> None:
        """Before the prompts are read: no row is wanted until it is seen again."""
        self._db.execute("UPDATE rows SET wanted = 0")

    def known(self, id: str, sample: int) -> bytes | None:
        """The content hash under which a row is known, if it is."""
        row = self._db.execute(
            "SELECT content FROM rows WHERE id = ? AND sample = ?", (id, sample)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def want(self, id: str, sample: int, content: bytes, position: int, messages: str, columns: str) -> None:
        """Add a row, or find it again at a new position."""
        self._db.execute(
            "INSERT INTO rows (id, sample, content, position, wanted, messages, columns) "
            "VALUES (?, ?, ?, ?, 1, ?, ?) "
            "ON CONFLICT (id, sample) DO UPDATE SET position = excluded.position, wanted = 1, "
            "line = iif(columns = excluded.columns, line, NULL), columns = excluded.columns",
            (id, sample, content, position, messages, columns),
        )

    def counts(self) -> dict[str, int]:
        """How many wanted rows have which status."""
        rows = self._db.execute("SELECT status, count(*) FROM rows WHERE wanted GROUP BY status")
        return {str(status): int(count) for status, count in rows}

    def left_behind(self, below: int | None = None) -> int:
        """How many ended rows have prompts that are not wanted now; of the first ``below`` if given."""
        row = self._db.execute(
            "SELECT count(*) FROM rows r WHERE status <> 'pending' AND NOT wanted AND position < ? "
            "AND NOT EXISTS (SELECT 1 FROM rows s WHERE s.id = r.id AND s.wanted)",
            ((1 << 62) if below is None else below,),
        ).fetchone()
        return int(row[0])

    def samples(self) -> int:
        """How many samples a prompt has at most, of those that are wanted or have ended."""
        row = self._db.execute(
            "SELECT max(sample) + 1 FROM rows WHERE wanted OR status <> 'pending'"
        ).fetchone()
        return int(row[0] or 0)

    def pending(self) -> list[int]:
        """Numbers of the wanted rows that are still to be written, in the order of the prompts."""
        rows = self._db.execute("SELECT n FROM rows WHERE status = 'pending' AND wanted ORDER BY position, n")
        return [int(n) for (n,) in rows]

    def wanted_failed(self) -> list[int]:
        """Numbers of the wanted rows that have failed."""
        rows = self._db.execute("SELECT n FROM rows WHERE status = 'failed' AND wanted ORDER BY position, n")
        return [int(n) for (n,) in rows]

    def ended(self, status: str, *, wanted: bool = False) -> Iterator[int]:
        """Numbers of the rows with that status, in the order of the prompts; all, or those wanted now."""
        which = "status = ? AND wanted" if wanted else "status = ?"
        rows = self._db.execute(f"SELECT n FROM rows WHERE {which} ORDER BY position, n", (status,))
        yield from (int(n) for (n,) in rows)

    def lines(self, status: str) -> list[int | None]:
        """The marks of the lines of all rows with that status; ``None`` where none is known to be written."""
        return [line for (line,) in self._db.execute("SELECT line FROM rows WHERE status = ?", (status,))]

    def set_line(self, n: int, mark: int) -> None:
        """The row's line stands in its file."""
        self._db.execute("UPDATE rows SET line = ? WHERE n = ?", (mark, n))

    def job(self, n: int) -> Job:
        """A row with its prompt."""
        row = self._db.execute(
            "SELECT id, sample, attempt, messages, columns FROM rows WHERE n = ?", (n,)
        ).fetchone()
        id, sample, attempt, messages, columns = row
        return Job(n, id, sample, attempt, codec.prompt_from(messages), orjson.loads(columns))

    def prepared(self, n: int) -> Prepared | None:
        """What the policy prepared for a row."""
        (text,) = self._db.execute("SELECT prepared FROM rows WHERE n = ?", (n,)).fetchone()
        return None if text is None else codec.prepared_from(text)

    def selected(self, n: int) -> Selected | None:
        """Which candidate became the row; ``None`` where there was but one, or none is chosen yet."""
        (text,) = self._db.execute("SELECT selected FROM rows WHERE n = ?", (n,)).fetchone()
        return None if text is None else codec.selected_from(text)

    def _select(self, n: int, candidate: int, selected: str) -> None:
        """A candidate becomes the row; what the others cost was for candidates only."""
        self._db.execute("UPDATE rows SET selected = ? WHERE n = ?", (selected, n))
        self._db.execute(
            "UPDATE usage SET purpose = 'candidate', discarded = discarded + kept, kept = 0 "
            "WHERE row = ? AND candidate <> ? AND purpose = 'turn'",
            (n, candidate),
        )

    def given_up(self, n: int, attempt: int) -> dict[int, Failure]:
        """The candidates that could not be finished in an attempt, and why."""
        rows = self._db.execute(
            "SELECT candidate, reason, message FROM given_up WHERE row = ? AND attempt = ?", (n, attempt)
        )
        return {int(candidate): Failure(reason, message) for candidate, reason, message in rows}

    def candidates(self, n: int) -> list[int]:
        """The candidates of a row that have a finished turn, in order."""
        rows = self._db.execute("SELECT DISTINCT candidate FROM turns WHERE row = ? ORDER BY 1", (n,))
        return [int(candidate) for (candidate,) in rows]

    def select_all(self, sql: str) -> list[dict[str, Any]]:
        """All rows of a query by the names of its columns; for reports, whose statements are shown."""
        found = self._db.execute(sql)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    # --- traces ---------------------------------------------------------------------------------

    def apply(self, entry: Entry) -> None:
        """Write what a trajectory commits."""
        op, values = entry
        if op == "selected":
            self._select(*values)
        elif op == "failed":
            self._fail(*values)
        else:
            self._db.execute(_STATEMENTS[op], values)

    def spans(self, n: int, candidate: int = 0) -> list[Span]:
        """Committed spans in order."""
        rows = self._db.execute(
            f"SELECT {_SPAN} FROM spans WHERE row = ? AND candidate = ? ORDER BY seq", (n, candidate)
        )
        return [codec.span_from(row) for row in rows]

    def turns(self, n: int, candidate: int = 0) -> list[TurnRecord]:
        """Finished turns in order."""
        rows = self._db.execute(
            f"SELECT {_TURN} FROM turns WHERE row = ? AND candidate = ? ORDER BY n", (n, candidate)
        )
        return [codec.turn_from(row) for row in rows]

    # --- failures -------------------------------------------------------------------------------

    def _fail(self, n: int, attempt: int, *failure: Any) -> None:
        """The row cannot be finished in this attempt."""
        self._db.execute("UPDATE rows SET status = 'failed' WHERE n = ?", (n,))
        self._db.execute(f"INSERT OR REPLACE INTO failures VALUES ({_marks(7)})", (n, attempt, *failure))

    def failure(self, n: int) -> Failure:
        """The row's last failure."""
        row = self._db.execute(
            "SELECT reason, message, thinking, answer, turns FROM failures WHERE row = ? "
            "ORDER BY attempt DESC LIMIT 1",
            (n,),
        ).fetchone()
        return Failure(*row)

    def retry(self, n: int, *, afresh: bool) -> None:
        """Make a failed row pending again under a new seed; ``afresh`` drops what was written."""
        if afresh:
            self._db.execute(
                "UPDATE usage SET discarded = discarded + kept, kept = 0 WHERE row = ?", (n,)
            )  # it is paid for, and nothing of it is kept
            self._db.execute("DELETE FROM spans WHERE row = ?", (n,))
            self._db.execute("DELETE FROM turns WHERE row = ?", (n,))
            self._db.execute("UPDATE rows SET selected = NULL WHERE n = ?", (n,))
        self._db.execute(
            "UPDATE rows SET status = 'pending', attempt = attempt + 1, line = NULL WHERE n = ?", (n,)
        )

    # --- figures --------------------------------------------------------------------------------

    def last_usage(self) -> int:
        """A mark for `totals`: what is booked by now."""
        (last,) = self._db.execute("SELECT max(rowid) FROM usage").fetchone()
        return int(last or 0)

    def totals(self, last: int | None = None) -> list[dict[str, Any]]:
        """Usage summed by role and purpose; of all, or of what was booked up to a mark."""
        names = ("prompt", "cached", "generated", "kept", "marks", "discarded", "requests", "estimated")
        sums = ", ".join(f"sum({name})" for name in names)
        rows: Iterable[tuple[Any, ...]] = self._db.execute(
            f"SELECT role, purpose, {sums} FROM usage WHERE rowid <= ? "
            "GROUP BY role, purpose ORDER BY role, purpose",
            ((1 << 62) if last is None else last,),
        )
        return [dict(zip(("role", "purpose", *names), row, strict=True)) for row in rows]

    def generated(self) -> Iterator[tuple[bool, int]]:
        """Whether it has ended, and tokens generated for it, of each wanted row that has begun."""
        rows = self._db.execute(
            "SELECT r.status <> 'pending', sum(u.generated) FROM rows r LEFT JOIN usage u ON u.row = r.n "
            "WHERE r.wanted GROUP BY r.n HAVING r.status <> 'pending' OR sum(u.generated) IS NOT NULL"
        )
        yield from ((bool(ended), int(tokens or 0)) for ended, tokens in rows)

    def reasons(self) -> dict[str, int]:
        """How many wanted rows failed in their last attempt, by reason."""
        rows = self._db.execute(
            "SELECT reason, count(*) FROM failures f JOIN rows r ON r.n = f.row AND r.attempt = f.attempt "
            "WHERE r.status = 'failed' AND r.wanted GROUP BY reason ORDER BY 2 DESC, 1"
        )
        return {str(reason): int(count) for reason, count in rows}

    def switches(self) -> int:
        """Hand-overs in all rows: neighbouring spans by different authors."""
        row = self._db.execute(
            "SELECT count(*) FROM (SELECT s.author, lag(s.author) OVER "
            "(PARTITION BY s.row, s.candidate ORDER BY s.seq) AS before "
            "FROM spans s JOIN rows r ON r.n = s.row "
            "WHERE s.candidate = coalesce(json_extract(r.selected, '$.candidate'), 0)) "
            "WHERE before IS NOT NULL AND author <> before"
        ).fetchone()
        return int(row[0])
