"""``data.jsonl`` and ``failures.jsonl``: derived from the journal, and so always right again.

Rows are appended as they end. When a run completes, the files are written anew in the order of the prompts
and put in place at once; when one starts, only if a line in them is not the one that the journal knows.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from zlib import crc32

import orjson

from tessy.journal.records import Job
from tessy.journal.store import Store
from tessy.replacing import naming, replacing
from tessy.rows import RowInfo, build_candidate, build_failure, build_row
from tessy.types import Json

__all__ = ["DATA", "FAILURES", "Dataset"]

DATA = "data.jsonl"
FAILURES = "failures.jsonl"

_FILES = {"done": DATA, "failed": FAILURES}
_SHARED = "lines"
"""In the journal's ``meta``: the mark of what all lines have in common."""


class Dataset:
    """The two files of one run directory. Used by one thread at a time, with that thread's store.

    ``ended`` is told the status and the line of each row, as it ends.
    """

    def __init__(
        self, folder: Path, store: Store, info: RowInfo, ended: Callable[[str, bytes], None] | None = None
    ) -> None:
        self._ended = ended
        self._folder = folder
        self._store = store
        self._info = info

    def append(self, n: int, status: str) -> None:
        """Row ``n`` has ended."""
        line = self._line(n, status)
        path = self._folder / _FILES[status]
        with naming(path), open(path, "ab", opener=_private) as file:
            file.write(line)
        # Killed before this, the next start finds a line that it does not know, and writes the file anew.
        self._store.set_line(n, _mark(line))
        if self._ended is not None:
            self._ended(status, line)

    def tell(self) -> None:
        """Give ``ended`` the wanted rows that have ended already, in the order of the prompts."""
        if self._ended is not None:
            for status in _FILES:
                for n in self._store.ended(status, wanted=True):
                    self._ended(status, self._line(n, status))

    def mend(self) -> None:
        """Write both files anew if one is not what the journal says, to the last byte of each line.

        Reading them is quick; to build the rows of a long run again takes many times as long.
        """
        if self._store.meta(_SHARED) != self._shared() or not all(map(self._intact, _FILES)):
            self.rebuild()

    def rebuild(self) -> None:
        """Write both files anew, in the order of the prompts."""
        marks: dict[int, int] = {}
        for status, name in _FILES.items():
            path = self._folder / name
            with replacing(path, durable=True) as file:
                for n in self._store.ended(status):
                    line = self._line(n, status)
                    file.write(line)
                    marks[n] = _mark(line)
        with self._store.transaction():
            for n, mark in marks.items():
                self._store.set_line(n, mark)
            self._store.set_meta(_SHARED, self._shared())

    def _intact(self, status: str) -> bool:
        try:
            with open(self._folder / _FILES[status], "rb") as file:
                return Counter(map(_mark, file)) == Counter(self._store.lines(status))
        except FileNotFoundError:
            return False

    def _shared(self) -> str:
        return str(_mark(orjson.dumps(astuple(self._info))))

    def _line(self, n: int, status: str) -> bytes:
        job = self._store.job(n)
        if status == "failed":
            row = build_failure(self._info, job, self._store.failure(n))
        else:
            row = self._row(job)
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)

    def _row(self, job: Job) -> dict[str, Json]:
        n, store = job.n, self._store
        selected = store.selected(n)
        chosen = 0 if selected is None else selected.candidate
        row = build_row(
            self._info, job, store.spans(n, chosen), store.turns(n, chosen), store.prepared(n), selected
        )
        if selected is not None and selected.keep_others:
            given_up = store.given_up(n, job.attempt)
            others = [k for k in store.candidates(n) if k != chosen and k not in given_up]
            row["tessy"]["candidates"] = [
                build_candidate(self._info, k, store.spans(n, k), store.turns(n, k)) for k in others
            ]
        return row


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _mark(line: bytes) -> int:
    return len(line) << 32 | crc32(line)
