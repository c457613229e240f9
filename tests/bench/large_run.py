"""A run directory as a long run leaves it, made without models: rows of given length, text like a trace's.

``python large_run.py FOLDER [--rows N] [--tokens N] [--journal]``. ``data.jsonl``, and the journal if wanted.
A token counts four characters, a span of style five tokens and one of capability twenty, as in real traces.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
from pathlib import Path
from typing import Any

import orjson

from tessy.journal import Store

__all__ = ["write", "write_journal"]

STYLE = ("Okay, so ", "Wait, maybe ", "Hmm, let me see. ", "So that means ", "Alright, now ", "But then ")
WORDS = (
    "the sum of both sides is {} and the product {} ",
    "substituting x = {} gives {} for the second term ",
    "divided by {} the remainder is {}, which is odd ",
    "the array has {} entries, of which {} are visited ",
    "for n = {} the bound becomes {} at most ",
)


def row(n: int, tokens: int, policy: str = "tessy") -> dict[str, Any]:
    """Row ``n``; the same for the same arguments."""
    rng = random.Random(n)
    begin, end = "<think>\n", "\n</think>\n\n"
    pieces, spans, at, done, teacher = [begin], [], len(begin), 0, 0
    while done < tokens:
        style = len(spans) % 2 == 0
        text = rng.choice(STYLE) if style else ""
        while not style and len(text) < 80:
            text += rng.choice(WORDS).format(rng.randrange(1000), rng.randrange(10_000))
        count = max(1, len(text) // 4)
        author, kind = ("student", "style") if style else ("teacher", "capability")
        spans.append(
            {
                "author": author,
                "phase": "think",
                "kind": kind,
                "start": at,
                "end": at + len(text),
                "tokens": count,
            }
        )
        pieces.append(text)
        at, done, teacher = at + len(text), done + count, teacher + count * (not style)
    answer = f"The answer is {rng.randrange(1000)}. " * 8
    at += len(end)
    spans.append(
        {
            "author": "student",
            "phase": "answer",
            "kind": None,
            "start": at,
            "end": at + len(answer),
            "tokens": 40,
        }
    )
    return {
        "level": n % 5,
        "id": f"row-{n}",
        "messages": [
            {"role": "user", "content": f"Problem {n}: how many ways are there to arrange {n % 97} tiles?"},
            {"role": "assistant", "content": "".join([*pieces, end, answer])},
        ],
        "tessy": {
            "spans": spans,
            "tokens": {"teacher": teacher, "student": done - teacher + 40},
            "switches": len(spans) - 2,
            "turns": len(spans),
            "finish": "end_of_turn",
            "policy": policy,
            "detector": "boundary",
            "models": {"teacher": "vllm:teacher", "student": "vllm:student"},
            "seed": 0,
        },
    }


def write(folder: Path, rows: int, tokens: int, distinct: int = 100) -> Path:
    """``data.jsonl`` with so many rows; texts repeat after ``distinct`` of them, ids and prompts do not."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [row(n, tokens) for n in range(min(rows, distinct))]
    with open(folder / "data.jsonl", "wb") as file:
        for n in range(rows):
            one = made[n % len(made)]
            one["id"] = f"row-{n}"
            one["messages"][0]["content"] = f"Problem {n}: how many ways are there to arrange {n % 97} tiles?"
            file.write(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE))
    return folder


def write_journal(folder: Path) -> None:
    """``journal.sqlite`` for what stands in ``data.jsonl``: a turn and a request for each span."""
    Store(folder / "journal.sqlite").close()
    db = sqlite3.connect(folder / "journal.sqlite", isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("BEGIN")
    with open(folder / "data.jsonl", "rb") as file:
        for n, line in enumerate(file):
            data = orjson.loads(line)
            content, spans = data["messages"][-1]["content"], data["tessy"]["spans"]
            db.execute(
                "INSERT INTO rows (n, id, sample, content, position, wanted, status, messages, columns) "
                "VALUES (?, ?, 0, ?, ?, 1, 'done', ?, '{}')",
                (n, data["id"], b"", n, orjson.dumps(data["messages"][:-1]).decode()),
            )
            db.executemany(
                "INSERT INTO spans VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, 1, NULL, 0, NULL, NULL)",
                [
                    (n, k, k, s["author"], s["phase"], s["kind"], content[s["start"] : s["end"]], s["tokens"])
                    for k, s in enumerate(spans)
                ],
            )
            db.executemany(
                "INSERT INTO turns VALUES (?, 0, ?, ?, ?, ?, ?, ?, 'aborted', 1, NULL)",
                [
                    (
                        n,
                        k,
                        s["author"],
                        s["phase"],
                        s["end"] - s["start"],
                        s["end"] - s["start"] + 8,
                        s["tokens"],
                    )
                    for k, s in enumerate(spans)
                ],
            )
            db.executemany(
                "INSERT INTO usage VALUES (?, 0, ?, 0, ?, 'turn', ?, ?, ?, ?, 0, 2, 1, 0)",
                [
                    (n, k, s["author"], s["start"] // 4, s["start"] // 5, s["tokens"] + 2, s["tokens"])
                    for k, s in enumerate(spans)
                ],
            )
    db.execute("INSERT INTO meta VALUES ('seconds', '3600.0')")
    db.execute("COMMIT")
    db.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=15_000)
    parser.add_argument("--journal", action="store_true")
    args = parser.parse_args()
    write(args.folder, args.rows, args.tokens)
    if args.journal:
        write_journal(args.folder)
