"""What must hold after each life and in the end; each fault found is a sentence.

Journals are read with plain SQL, not with the code that wrote them.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Held", "faults_in_lines", "read_journal"]

Key = tuple[str, int]
"""Row, as in ``p0#0``, and candidate."""


@dataclass
class Held:
    """What a journal holds, and what in it contradicts itself."""

    texts: dict[Key, list[tuple[int, str, str, str]]] = field(default_factory=dict)
    turns: dict[Key, list[tuple[Any, ...]]] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    usage: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def lost_since(self, before: Held) -> Iterator[str]:
        """What an earlier state of the same journal held and this one does not."""
        for key, spans in before.texts.items():
            if self.texts.get(key, [])[: len(spans)] != spans:
                yield f"{key}: committed spans are lost or changed"
        for key, turns in before.turns.items():
            if self.turns.get(key, [])[: len(turns)] != turns:
                yield f"{key}: committed turns are lost or changed"
        for row, status in before.status.items():
            if status != "pending" and self.status.get(row) != status:
                yield f"{row}: was {status}, is {self.status.get(row)}"
        for name in ("prompt", "generated", "requests"):  # what a candidate kept is discarded in the end
            if self.usage.get(name, 0) < before.usage.get(name, 0):
                yield f"usage: {before.usage[name]} {name} are {self.usage.get(name, 0)} now"


def read_journal(folder: Path) -> Held:
    """Read the journal as whoever opens it next will find it; the files themselves are left as they are."""
    held = Held()
    probe = folder.with_name(folder.name + "-probe")
    probe.mkdir()
    try:
        for name in ("journal.sqlite", "journal.sqlite-wal"):
            if (folder / name).exists():
                shutil.copyfile(folder / name, probe / name)
        if (probe / "journal.sqlite").exists():
            with closing(sqlite3.connect(probe / "journal.sqlite")) as db:
                if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'usage'").fetchone():
                    _read(db, held)
    finally:
        shutil.rmtree(probe)
    return held


def _read(db: sqlite3.Connection, held: Held) -> None:
    names = {n: f"{id}#{sample}" for n, id, sample in db.execute("SELECT n, id, sample FROM rows")}
    held.status = {names[n]: status for n, status in db.execute("SELECT n, status FROM rows")}
    seqs: dict[Key, list[int]] = {}
    for row, candidate, seq, turn, author, phase, text in db.execute(
        "SELECT row, candidate, seq, turn, author, phase, text FROM spans ORDER BY row, candidate, seq"
    ):
        key = (names[row], candidate)
        held.texts.setdefault(key, []).append((turn, author, phase, text))
        seqs.setdefault(key, []).append(seq)
    for row, candidate, *turn in db.execute(
        "SELECT row, candidate, n, role, phase, kept, tokens, cut, note FROM turns ORDER BY row, candidate, n"
    ):
        held.turns.setdefault((names[row], candidate), []).append(tuple(turn))
    held.faults += _faults(held, seqs)
    columns = ("prompt", "generated", "kept", "marks", "discarded", "requests")
    for values in db.execute(f"SELECT {', '.join(columns)} FROM usage"):
        one = dict(zip(columns, values, strict=True))
        if one["generated"] != one["kept"] + one["marks"] + one["discarded"] or min(values) < 0:
            held.faults.append(f"usage does not add up: {one}")
        for name, count in one.items():
            held.usage[name] = held.usage.get(name, 0) + count


def _faults(held: Held, seqs: Mapping[Key, Sequence[int]]) -> Iterator[str]:
    for key, numbers in seqs.items():
        if list(numbers) != list(range(len(numbers))):
            yield f"{key}: spans are numbered {numbers}"
    for key, turns in held.turns.items():
        if [turn[0] for turn in turns] != list(range(len(turns))):
            yield f"{key}: turns are numbered {[turn[0] for turn in turns]}"
    for key, spans in held.texts.items():
        turns = held.turns.get(key, [])
        numbers = [turn for turn, *_ in spans]
        if numbers != sorted(numbers) or max(numbers) > len(turns):
            yield f"{key}: spans of turns {numbers}, {len(turns)} turns have ended"
    for key, turns in held.turns.items():
        for n, role, phase, kept, *_ in turns:
            pieces = [span for span in held.texts.get(key, []) if span[0] == n]
            if sum(len(text) for *_, text in pieces) != kept or any(
                piece[1:3] != (role, phase) for piece in pieces
            ):
                yield f"{key}: turn {n} is not what its spans are"


def faults_in_lines(data: bytes, held: Held, samples: int) -> Iterator[str]:
    """Rows against their own spans, and against the journal."""
    seen: set[str] = set()
    for line in data.splitlines():
        row = json.loads(line)
        name = row["id"] if samples > 1 else row["id"] + "#0"
        if name in seen:
            yield f"{name}: is there twice"
        seen.add(name)
        yield from (f"{name}: {fault}" for fault in _faults_in_row(row, held, name))
    done = {row for row, status in held.status.items() if status == "done"}
    if seen != done:
        yield f"rows {sorted(seen)}, done are {sorted(done)}"


def _faults_in_row(row: Mapping[str, Any], held: Held, name: str) -> Iterator[str]:
    content, tessy = row["messages"][-1]["content"], row["tessy"]
    chosen = tessy.get("selected", {}).get("candidate", 0)
    spans = held.texts.get((name, chosen), [])
    thinking, answer = ("".join(t for *_, p, t in spans if p == phase) for phase in ("think", "answer"))
    if content != f"<think>\n{thinking}\n</think>\n\n{answer}":
        yield "its text is not that of its spans in the journal"
    at, gaps, tokens = 0, [], {"teacher": 0, "student": 0}
    for span in tessy["spans"]:
        if not at <= span["start"] < span["end"] <= len(content):
            yield f"span {span} does not follow {at} of {len(content)}"
        if content[at : span["start"]]:
            gaps.append(content[at : span["start"]])
        tokens[span["author"]] += span["tokens"]
        at = span["end"]
    if at != len(content) or gaps != ["<think>\n", "\n</think>\n\n"]:
        yield f"characters without an author: {gaps}, {content[at:]!r}"
    if {role: count for role, count in tessy["tokens"].items() if count} != {
        role: count for role, count in tokens.items() if count
    }:
        yield f"tokens {tessy['tokens']}, of its spans {tokens}"
