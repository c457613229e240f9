"""Kept tokens a second with one worker process and with several, and what each process spends on a token.

``python bench_workers.py [--workers N …] [--tokens N] [--scale X]``. Simulated servers in a process of their
own on the same machine; the runs one after the other, each by the command line. Start and end of a run are
left out: what is measured lies between the first and the last tenth of the tokens in the journal. Linux only:
a process's CPU time is read from ``/proc``.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tessy.testing.simulated import simulated_servers

MODEL = {"token": 0.01, "first": 0.005, "batch": 4096, "spread": 0.05, "answer": 20, "context": 131_072}
LENGTH = 200


@dataclass(frozen=True)
class Look:
    """A run at one moment: seconds, tokens and turns in the journal, CPU seconds of its processes."""

    at: float
    tokens: int
    turns: int
    own: float
    workers: float


@dataclass(frozen=True)
class Middle:
    """Of the middle of a run: tokens a second, turns a token, CPU seconds a token."""

    pace: float
    turns: float
    own: float
    workers: float


def run(command: Sequence[str], folder: Path) -> Middle:
    """What the middle of a run was like."""
    journal, seen = folder / "journal.sqlite", list[Look]()
    process = subprocess.Popen([sys.executable, "-m", "tessy", "run", *command, "-o", str(folder)])
    while process.poll() is None:
        time.sleep(0.1)
        if (look := _look(journal, process.pid)) is not None:
            seen.append(look)
    if process.returncode:
        raise SystemExit(process.returncode)
    total = seen[-1].tokens
    middle = [look for look in seen if 0.1 * total <= look.tokens <= 0.9 * total]
    if len(middle) < 2:
        raise SystemExit("the run was too short to be measured; give it more --tokens")
    first, last = middle[0], middle[-1]
    tokens = last.tokens - first.tokens
    return Middle(
        pace=tokens / (last.at - first.at),
        turns=(last.turns - first.turns) / tokens,
        own=(last.own - first.own) / tokens,
        workers=(last.workers - first.workers) / tokens,
    )


def _look(journal: Path, pid: int) -> Look | None:
    if not journal.exists():
        return None
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as db:
        try:
            tokens, turns = db.execute("SELECT coalesce(sum(kept), 0), count(*) FROM usage").fetchone()
        except sqlite3.OperationalError:
            return None
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return Look(time.monotonic(), tokens, turns, _cpu(pid), sum(map(_cpu, map(int, children))))
    except OSError:  # one has just ended
        return None


def _cpu(pid: int) -> float:
    """Seconds that a process has computed so far, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--tokens", type=int, default=12_800)
    parser.add_argument("--scale", type=float, default=1.0, help="the servers' seconds in a real one")
    parser.add_argument("--concurrency", type=int, default=64)
    arguments = parser.parse_args()
    model = {**MODEL, "scale": arguments.scale}
    print(f"{os.cpu_count()} cores, servers included")
    print("| workers | kept tokens/s | ratio | run's process, µs a token | its workers | turns a token |")
    print("|---:|---:|---:|---:|---:|---:|")
    with TemporaryDirectory() as name:
        prompts = Path(name) / "prompts.jsonl"
        count = max(1, arguments.tokens // LENGTH)
        prompts.write_text("".join(f'{{"prompt": "Question {i}?"}}\n' for i in range(count)))
        first: float | None = None
        for i, workers in enumerate(arguments.workers):
            with simulated_servers(("teacher", "student"), thinking=LENGTH, **model) as urls:
                flags = [f"--{role}=vllm:{role}@{url}" for role, url in urls.items()]
                command = [str(prompts), "--detector=lexicon", *flags, "--workers", str(workers), "--json"]
                command += ["--concurrency", str(arguments.concurrency)]
                found = run(command, Path(name) / str(i))
            first = found.pace if first is None else first
            print(
                f"| {workers} | {found.pace:,.0f} | {found.pace / first:.2f} | {1e6 * found.own:.0f} | "
                f"{1e6 * found.workers:.0f} | {found.turns:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
