"""Kills the real command line at random moments, resumes it each time, and compares with a run left alone.

``python tests/soak/kills.py [--kills N] [--pair simulated|miniature] [--seed N]``. A run that comes to its
end before all kills are spent is checked, and another begins. Figures: rows lost, doubled, changed, and
journals that were not whole after a kill.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tessy.testing.simulated import simulated_servers

MODELS = Path(__file__).parents[2] / "examples" / "miniature" / "models"
PROMPTS = Path(__file__).parents[2] / "examples" / "miniature" / "prompts.jsonl"
MODEL = {"thinking": 250, "answer": 300, "spread": 0.3, "token": 0.003, "first": 0.006, "context": 8192}


@dataclass
class Found:
    """What the kills did."""

    kills: int = 0
    runs: int = 0
    rows: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    torn: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was."""
        return not (self.lost or self.doubled or self.changed or self.torn)


@contextmanager
def pair(name: str) -> Iterator[Sequence[str]]:
    """The flags of a pair that writes the same traces whenever it is asked."""
    if name == "miniature":
        yield [f"--{role}=llamacpp:{MODELS / f'{role}.gguf'}?n_ctx=1024" for role in ("teacher", "student")]
        return
    with simulated_servers(("teacher", "student"), **MODEL) as urls:
        yield [f"--{role}=vllm:{role}@{url}" for role, url in urls.items()]


def kill(kills: int, *, name: str, rows: int, seed: int, folder: Path) -> Found:
    """Kill so many times, at moments drawn from ``seed``."""
    found, chance = Found(), random.Random(seed)
    prompts = folder / "prompts.jsonl"
    lines = PROMPTS.read_text(encoding="utf-8").splitlines()[:rows]
    prompts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pair(name) as flags:
        common = [str(prompts), "--detector", "lexicon", "--concurrency", "4", *flags]

        def command(run: Path) -> list[str]:
            return [sys.executable, "-m", "tessy", "run", *common, "-o", str(run)]

        alone = folder / "alone"
        subprocess.run(command(alone), check=True, capture_output=True)
        expected = (alone / "data.jsonl").read_bytes()
        while found.kills < kills:
            run = folder / f"run-{found.runs}"
            while found.kills < kills and _dies(command(run), chance.uniform(0.3, 2.5)):
                found.kills += 1
                if (fault := fault_in(run / "journal.sqlite")) is not None:
                    found.torn.append(f"{run.name} after kill {found.kills}: {fault}")
            ended = subprocess.run(command(run), check=False, capture_output=True, text=True)
            if ended.returncode:
                found.torn.append(f"{run.name} does not go on: {ended.stderr[-300:]}")
            _compare((run / "data.jsonl").read_bytes(), expected, found)
            found.runs += 1
    return found


def _dies(command: Sequence[str], seconds: float) -> bool:
    """Whether it was still running when it was killed."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait() == -signal.SIGKILL


def fault_in(journal: Path) -> str | None:
    """What in a journal is not whole; read with plain SQL, not with the code that wrote it."""
    if not journal.exists():
        return None
    with closing(sqlite3.connect(journal)) as db:
        (check,) = db.execute("PRAGMA quick_check").fetchone()
        if check != "ok":
            return str(check)
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'spans'").fetchone():
            return None
        for table, number in (("spans", "seq"), ("turns", "n")):
            (gaps,) = db.execute(
                f"SELECT count(*) FROM (SELECT max({number}) + 1 AS next, count(*) AS rows "
                f"FROM {table} GROUP BY row, candidate) WHERE next <> rows"
            ).fetchone()
            if gaps:
                return f"{gaps} traces miss some {table}"
        # Characters of a finished turn are exactly those of its spans.
        (wrong,) = db.execute(
            "SELECT count(*) FROM turns t WHERE kept <> (SELECT coalesce(sum(length(text)), 0) FROM spans s "
            "WHERE s.row = t.row AND s.candidate = t.candidate AND s.turn = t.n)"
        ).fetchone()
        return f"{wrong} turns differ from their spans" if wrong else None


def _compare(data: bytes, expected: bytes, found: Found) -> None:
    rows = [json.loads(line) for line in data.splitlines()]
    wanted = {row["id"]: row for row in map(json.loads, expected.splitlines())}
    counts = Counter(row["id"] for row in rows)
    found.rows += len(wanted)
    found.lost += sum(id not in counts for id in wanted)
    found.doubled += sum(count - 1 for count in counts.values())
    found.changed += sum(row != wanted.get(row["id"]) for row in rows)
    if data != expected and not (found.lost or found.doubled or found.changed):
        found.changed += 1  # the order, or a byte of the format


def main() -> None:
    """Kill, and say what became of it."""
    parser = argparse.ArgumentParser(description="kill and resume")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--pair", choices=["simulated", "miniature"], default="simulated")
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = kill(given.kills, name=given.pair, rows=given.rows, seed=given.seed, folder=Path(folder))
    print(
        f"{given.pair}: {found.kills} kills in {found.runs} runs, {found.rows} rows: {found.lost} lost, "
        f"{found.doubled} doubled, {found.changed} changed, {len(found.torn)} journals not whole"
    )
    for one in found.torn:
        print("  ", one)
    sys.exit(not found.clean)


if __name__ == "__main__":
    main()
