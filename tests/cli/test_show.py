"""Traces in a terminal: one, and two of the same prompt beside each other."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from cli.shell import rows, scripted, tessy
from helpers import write_prompts


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("show")
    prompts = write_prompts(folder / "p.jsonl", 3)
    policies = ("--policy", "tessy", "--policy", "student-only", "--detector", "lexicon")
    tessy("run", prompts, "-o", folder / "runs", *policies, *scripted(think=30))
    other = write_prompts(folder / "q.jsonl", 1)
    other.write_text(other.read_text().replace("Question 0?", "Another?"))
    tessy("run", other, "-o", folder / "other", *scripted(think=30))
    return folder


def words(text: str) -> list[str]:
    return text.replace("│", " ").split()


def test_a_row_is_shown_whole(runs: Path) -> None:
    run = runs / "runs" / "tessy"
    row = rows(run)[1]
    shown = tessy("show", run, "p1").stdout
    assert "user: Question 1?" in shown
    assert set(words(row["messages"][-1]["content"])) <= set(words(shown))
    assert f"{row['tessy']['switches']} switches, end_of_turn" in shown
    assert "no finished row with id 'p9'" in tessy("show", run, "p9", code=2).stderr
    assert "no run here" in tessy("show", runs, code=2).stderr


def test_two_runs_of_one_prompt(runs: Path) -> None:
    one, two = runs / "runs" / "tessy", runs / "runs" / "student-only"
    for id in ("p2", None):
        shown = tessy("diff", one, two, *([id] if id else [])).stdout
        for run in (one, two):
            row = next(row for row in rows(run) if row["id"] == (id or "p0"))
            assert set(words(row["messages"][-1]["content"])) <= set(words(shown))
        assert shown.count("switches, end_of_turn") == 2
    assert "answers another prompt" in tessy("diff", one, runs / "other", "p0", code=2).stderr
    assert "no finished row with id 'x'" in tessy("diff", one, two, "x", code=2).stderr


@pytest.mark.parametrize(("columns", "beside"), [(160, True), (80, False)])
def test_they_stand_side_by_side_where_there_is_room(runs: Path, columns: int, beside: bool) -> None:
    shown = tessy(
        "diff",
        runs / "runs" / "tessy",
        runs / "runs" / "student-only",
        env={**os.environ, "COLUMNS": str(columns)},
    ).stdout
    assert any(line.count("╭") == 2 for line in shown.splitlines()) is beside


def test_on_a_terminal_it_goes_through_the_pager(runs: Path, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ncat > {tmp_path}/seen\n")
    pager.chmod(0o700)
    above, below = pty.openpty()
    command = [sys.executable, "-m", "tessy", "show", str(runs / "runs" / "tessy"), "p1"]
    environ = {**os.environ, "PAGER": str(pager), "TERM": "xterm-256color"}
    try:
        subprocess.run(command, stdin=below, stdout=below, stderr=below, env=environ, check=True, timeout=60)
    finally:
        os.close(below)
        os.close(above)
    seen = (tmp_path / "seen").read_text()
    assert "Question 1?" in seen
    assert "\x1b[" in seen
