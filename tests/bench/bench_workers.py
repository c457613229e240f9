"""Kept tokens a second through the client with one worker process and with several.

``python bench_workers.py [--workers N …] [--tokens N]``. Simulated servers that could write faster than we
read, in a process of their own on the same machine; the runs one after the other, each by the command line.
Start and end of a run are left out: what is measured is the time between the first and the last tenth of the
tokens in the journal.
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from tessy.testing.simulated import simulated_servers

MODEL = {"token": 0.01, "first": 0.005, "batch": 4096, "spread": 0.05, "answer": 20, "context": 131_072}
LENGTH = 200


def run(command: Sequence[str], folder: Path) -> tuple[float, float]:
    """Kept tokens a second over the middle of the run, and CPU seconds of all its processes."""
    seen: list[tuple[float, int]] = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen([sys.executable, "-m", "tessy", "run", *command, "-o", str(folder)])
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            if (folder / "journal.sqlite").exists():
                with closing(sqlite3.connect(f"file:{folder / 'journal.sqlite'}?mode=ro", uri=True)) as db:
                    try:
                        (count,) = db.execute("SELECT coalesce(sum(kept), 0) FROM usage").fetchone()
                    except sqlite3.OperationalError:
                        continue
                seen.append((time.monotonic(), int(count)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    ended.set()
    watcher.join()
    if code:
        raise SystemExit(code)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = seen[-1][1]
    middle = [one for one in seen if 0.1 * total <= one[1] <= 0.9 * total]
    (began, first), (until, last) = middle[0], middle[-1]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (last - first) / (until - began), cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--tokens", type=int, default=12_800)
    arguments = parser.parse_args()
    with TemporaryDirectory() as name:
        prompts = Path(name) / "prompts.jsonl"
        count = max(1, arguments.tokens // LENGTH)
        prompts.write_text("".join(f'{{"prompt": "Question {i}?"}}\n' for i in range(count)))
        speeds = {}
        for workers in arguments.workers:
            with simulated_servers(("teacher", "student"), thinking=LENGTH, **MODEL) as urls:
                flags = [f"--{role}=vllm:{role}@{url}" for role, url in urls.items()]
                command = [str(prompts), "--detector=lexicon", f"--concurrency={count}", *flags]
                command += ["--workers", str(workers), "--json"]
                speeds[workers], cpu = run(command, Path(name) / str(workers))
            ratio = speeds[workers] / speeds[arguments.workers[0]]
            print(
                f"{workers} workers: {speeds[workers]:,.0f} kept tokens/s ({ratio:.2f}), "
                f"{cpu:.1f} s CPU of the run's processes, {os.cpu_count()} cores"
            )


if __name__ == "__main__":
    main()
