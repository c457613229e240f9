"""How long a start takes until the first resumed turn is asked for: ``python bench_resume.py [--spans N]``.

The journal is a real one, of a run that was killed, filled up with rows of a thousand spans each: all but
the last ten are done. It is started once to mend what is derived from it, and then measured: from the start
of the process to the first request at a simulated server.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import time
from array import array
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

from tessy.testing.simulated import simulated_servers

PAIR = ("teacher", "student")
A_ROW = 1000
"""Spans of a row."""
UNFINISHED = 10


def fill(journal: Path, rows: int) -> None:
    """Give every row as many spans, turns and usages, and finish all but the last ten."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        for table in ("spans", "turns", "usage", "failures"):
            db.execute(f"DELETE FROM {table}")
        ids = array("I", range(200, 212)).tobytes()
        texts = {"student": "Hmm, wait. ", "teacher": "c12 c13 c14 c15 c16 c17 c18 c19 c20 c21 c22 c23. "}
        for row in range(1, rows + 1):
            written = [(i, PAIR[(i + 1) % 2], "think") for i in range(A_ROW)]
            if row <= rows - UNFINISHED:
                written[-1] = (A_ROW - 1, "student", "answer")
            db.executemany(
                "INSERT INTO spans VALUES (?, 0, ?, ?, ?, ?, 'style', ?, 12, 1, ?, ?, NULL, NULL)",
                ((row, i, i, who, phase, texts[who], ids, len(texts[who])) for i, who, phase in written),
            )
            db.executemany(
                "INSERT INTO turns VALUES (?, 0, ?, ?, ?, ?, ?, 12, 'aborted', 1, NULL)",
                ((row, i, who, phase, len(texts[who]), 60) for i, who, phase in written),
            )
            db.executemany(
                "INSERT INTO usage VALUES (?, 0, ?, 0, ?, 'turn', 500, 480, 14, 12, 0, 2, 1, 0)",
                ((row, i, who) for i, who, _ in written),
            )
        db.execute("UPDATE rows SET status = iif(n <= ?, 'done', 'pending')", (rows - UNFINISHED,))
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def first_request(command: Sequence[str], urls: Mapping[str, str]) -> float:
    """Seconds from the process's start to its first request."""
    for url in urls.values():
        urlopen(Request(f"{url}/log", method="DELETE")).close()
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        while True:
            for url in urls.values():
                with urlopen(f"{url}/figures") as answer:
                    figures = json.loads(answer.read())
                if figures["running"] or figures["waiting"] or figures["requests"]:
                    return time.perf_counter() - began
            if process.poll() is not None:
                assert process.stderr is not None
                raise RuntimeError(f"the run ended: {process.stderr.read().decode()[-500:]}")
            time.sleep(0.005)  # the server has no way to tell of a request but its page of figures
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="the time from start to the first resumed turn")
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    rows = given.spans // A_ROW
    with (
        TemporaryDirectory() as name,
        simulated_servers(PAIR, thinking=200_000, spread=0.01, context=1_000_000) as urls,
    ):
        folder = Path(name)
        prompts = folder / "prompts.jsonl"
        prompts.write_text(
            "".join(json.dumps({"id": f"p{i}", "prompt": f"{i}?"}) + "\n" for i in range(rows))
        )
        command = [sys.executable, "-m", "tessy", "run", str(prompts), "-o", str(folder / "run")]
        # All rows hold the same two texts again and again.
        command += ["--repetition", "off"]
        command += ["--detector", "lexicon", "--max-length", "300000", "--concurrency", "10"]
        command += [f"--{role}=vllm:{role}@{url}" for role, url in urls.items()]
        first_request(command, urls)
        fill(folder / "run" / "journal.sqlite", rows)
        mended = first_request(command, urls)
        times = [first_request(command, urls) for _ in range(given.rounds)]
        with TemporaryDirectory() as other:
            empty = [part.replace(str(folder / "run"), f"{other}/run") for part in command]
            fresh = statistics.median(first_request(empty, urls) for _ in range(given.rounds))
    print(
        f"{given.spans:,} spans: {statistics.median(times):.2f} s to the first resumed turn "
        f"({', '.join(f'{one:.2f}' for one in times)}); {mended:.2f} s when data.jsonl is written anew; "
        f"{fresh:.2f} s for a run without spans"
    )


if __name__ == "__main__":
    main()
