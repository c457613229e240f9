"""Ids never become paths, and what a run writes is its owner's alone, while it is being written too."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from cli.shell import begin, rows, scripted, tessy
from helpers import write_prompts

IDS = [
    "../../x", "/etc/x", "..", ".", "a\x00b", "a/b\\c", "C:\\x", "con", "-rf", "~/x", "$(touch x)",
    "\x1b[31m", "i" * 20_000, "日本🙂", "e\u0301", "\u202egnp", "%2e%2e%2f", "a\nb", " ",
]  # fmt: skip


def test_ids_never_become_paths(tmp_path: Path) -> None:
    names = []
    for which, ids in (("plain", [f"p{n}" for n in range(len(IDS))]), ("hostile", IDS)):
        folder = tmp_path / which / "deep" / "down"
        folder.mkdir(parents=True)
        prompts = folder / "prompts.jsonl"
        prompts.write_text("".join(json.dumps({"id": id, "prompt": "Why?"}) + "\n" for id in ids))
        tessy("run", prompts, "-o", folder / "run", *scripted())
        assert sorted(row["id"] for row in rows(folder / "run")) == sorted(ids)
        names.append({path.relative_to(tmp_path / which) for path in (tmp_path / which).rglob("*")})
    assert names[0] == names[1]


@pytest.mark.parametrize("umask", [0, 0o022])
def test_all_that_a_run_writes_is_private_while_it_writes(tmp_path: Path, umask: int) -> None:
    prompts, run = write_prompts(tmp_path / "p.jsonl", 40), tmp_path / "new" / "run"
    before = os.umask(umask)
    try:
        process = begin("run", prompts, "-o", run, *scripted(think=400, chunk=2, delay=0.005))
    finally:
        os.umask(before)
    seen: dict[str, int] = {}
    until = time.monotonic() + 60
    try:
        while (
            not {"journal.sqlite-wal", "journal.sqlite-shm", ".lock"} <= set(seen) and process.poll() is None
        ):
            assert time.monotonic() < until, sorted(seen)
            seen |= modes(run)
        for _ in range(50):
            seen |= modes(run)
            time.sleep(0.01)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    seen |= modes(run)
    assert {name: oct(mode) for name, mode in seen.items() if mode not in (0o600, 0o700)} == {}
    assert {name for name, mode in seen.items() if mode == 0o700} == {"."}
    assert {"journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", ".lock", "run.yaml"} <= set(seen)


def modes(run: Path) -> dict[str, int]:
    """Of the directory and all within it; what is gone in between has none."""
    found = {}
    for path in (run, *run.rglob("*")):
        try:
            found[str(path.relative_to(run))] = stat.S_IMODE(path.lstat().st_mode)
        except FileNotFoundError:
            continue
    return found
