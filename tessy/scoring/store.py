"""``scores.sqlite``: what a student said of a run's rows, so that no row is rated twice.

Rows are committed in batches, at most two seconds apart; a kill loses the last one. Who scored stands in it,
and another scorer is refused, as figures of two models cannot be compared.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tessy.errors import ConfigError, TessyError
from tessy.faults import is_out_of_room
from tessy.lock import locked
from tessy.metrics import Bag, Sums, pack, unpack
from tessy.transaction import transaction

__all__ = ["Record", "ScoreStore", "opened"]

FILE = "scores.sqlite"
VERSION = 1
"""Stands in the file as ``user_version``."""
_BATCH = 32
_SECONDS = 2.0
_SCHEMA = """
BEGIN;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows (
    id TEXT PRIMARY KEY,     -- as in data.jsonl
    content TEXT NOT NULL,   -- a hash over what was rated: a row that changes is rated again
    prompt TEXT NOT NULL,    -- a hash over its prompt: samples of one are drawn together
    sums TEXT NOT NULL,      -- JSON, see tessy.metrics.sums
    bag BLOB NOT NULL        -- see tessy.metrics.terms
);
PRAGMA user_version = 1;
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a rated row."""

    id: str
    content: str
    prompt: str
    sums: Sums
    bag: Bag


class ScoreStore:
    """The open file. Records are written in batches; `flush` writes what waits."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self._path = path
        self._db = db
        self._waiting: dict[str, Record] = {}
        self._written_at = time.monotonic()

    def claim(self, scorer: Mapping[str, Any], *, anew: bool = False) -> None:
        """See that all in it is by this scorer; with ``anew`` forget what is by another.

        Raises:
            ConfigError: it holds scores by another.
        """
        said = orjson.dumps(scorer, option=orjson.OPT_SORT_KEYS).decode()
        with self._written():
            found = self._db.execute("SELECT value FROM meta WHERE key = 'scorer'").fetchone()
            if found is not None and found[0] != said:
                if not anew:
                    raise ConfigError(
                        f"{self._path}: holds scores that were made otherwise:\n"
                        + _differences(orjson.loads(found[0]), orjson.loads(said))
                        + "\nGive the same student to go on with them, or --anew to replace them."
                    )
                self._db.execute("DELETE FROM rows")
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('scorer', ?)", (said,))

    def has(self, id: str, content: str) -> bool:
        """Whether the row is known as it is now."""
        waiting = self._waiting.get(id)
        if waiting is not None:
            return waiting.content == content
        found = self._db.execute("SELECT content FROM rows WHERE id = ?", (id,)).fetchone()
        return found is not None and found[0] == content

    def add(self, record: Record) -> None:
        """Keep a record, in place of an older one of the same row."""
        self._waiting[record.id] = record
        if len(self._waiting) >= _BATCH or time.monotonic() - self._written_at >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Commit what waits.

        Raises:
            TessyError: it cannot be written; what was committed before is kept.
        """
        rows = [
            (r.id, r.content, r.prompt, orjson.dumps(r.sums.as_json()).decode(), pack(r.bag))
            for r in self._waiting.values()
        ]
        with self._written():
            self._db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)", rows)
        self._waiting.clear()
        self._written_at = time.monotonic()

    def get(self, id: str, content: str) -> Record | None:
        """What is committed of a row as it is now."""
        found = self._db.execute(
            "SELECT prompt, sums, bag FROM rows WHERE id = ? AND content = ?", (id, content)
        ).fetchone()
        return (
            None
            if found is None
            else Record(id, content, found[0], Sums.from_json(orjson.loads(found[1])), unpack(found[2]))
        )

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            with transaction(self._db):
                yield
        except sqlite3.Error as error:
            raise TessyError(
                f"{self._path}: cannot be written: {error}; what was scored before is kept, and the same "
                "command goes on with it"
            ) from error


@contextmanager
def opened(folder: Path) -> Iterator[ScoreStore]:
    """A run's scores, held by one process at a time.

    Raises:
        ConfigError: the folder cannot be written to, another process scores there, or the file is not ours.
    """
    path = folder / FILE
    try:
        with locked(folder / ".scores.lock"):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as db:
                _prepare(db, path)
                yield ScoreStore(path, db)
    except BlockingIOError as error:
        raise ConfigError(f"{folder}: another process scores this run; wait for it") from error
    except PermissionError as error:
        raise ConfigError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    try:
        db.execute("PRAGMA synchronous = NORMAL")
        if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            db.executescript(_SCHEMA)
        found = db.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        if is_out_of_room(error):
            raise TessyError(
                f"{path}: cannot be written: {error}; make room and give the same command again"
            ) from error
        raise ConfigError(f"{path}: cannot be used: {error}; remove it to score anew") from error
    if found != (VERSION,):
        raise ConfigError(f"{path}: was written by another version of tessy; remove it to score anew")


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    keys = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    return "\n".join(f"  {key}: was {before.get(key)!r}, is now {now.get(key)!r}" for key in keys)
