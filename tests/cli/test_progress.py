"""What a run shows while it goes: a panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console
from rich.text import Text

from cli.shell import scripted
from helpers import write_prompts
from tessy.cli.progress import duration, line, panel
from tessy.cli.trace import clean
from tessy.journal import Failure, TurnUsage
from tessy.stats import Stats
from tessy.types import Span, TurnRecord, Usage


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stats() -> Stats:
    clock = Clock()
    stats = Stats(clock)
    stats.begin(10, 2, 0)
    stats.admitted("a")
    stats.admitted("b")
    stats.committed("a", Span("student", "think", "Hmm,", 0, 25))
    stats.spent("a", TurnUsage("student", Usage(5, 0, 50, 1), 25, 0, 25))
    stats.turn("a", TurnRecord(0, "student", "think", 4, 8, 25, "aborted", True))
    stats.committed("a", Span("teacher", "think", " 1", 1, 75))
    stats.spent("a", TurnUsage("teacher", Usage(5, 0, 75, 1), 75))
    clock.now = 5.0
    stats.finished("a")
    stats.failed("b", Failure("length", "too long"))
    return stats


def test_the_line_has_all_figures(stats: Stats) -> None:
    assert line(stats) == (
        "rows 4/10 failed 1 active 0 teacher 15 tok/s student 5 tok/s teacher share 75.0% switches 1 "
        "discarded 20.0% (250 and 20.0 requests per 1000 kept) left 15 s"
    )


@pytest.mark.parametrize("width", [20, 80, 300])
def test_the_panel_fits_any_terminal(stats: Stats, width: int) -> None:
    console = Console(width=width, record=True, file=open(os.devnull, "w"))
    console.print(panel(stats))
    assert all(len(text) <= width for text in console.export_text().splitlines())
    console.file.close()


@pytest.mark.parametrize("width", [60, 80, 300])
@pytest.mark.parametrize("colour", [None, "truecolor"])
@pytest.mark.parametrize("done", [0, 3, 10])
def test_the_panel_has_a_line_for_each_figure(
    stats: Stats, width: int, colour: Literal["truecolor"] | None, done: int
) -> None:
    stats.done, stats.waiting = done, 3
    console = Console(width=width, color_system=colour, force_terminal=True, file=StringIO())
    with console.capture() as captured:
        console.print(panel(stats))
    shown = Text.from_ansi(captured.get()).plain.splitlines()
    begins = ["rows", "failed", "teacher", "student", "teacher share", "discarded", "per 1,000 kept"]
    assert [text.strip("│ ").partition("  ")[0] for text in shown[2:-1]] == begins
    assert f"{done + 1} of 10" in shown[2]
    assert "0 (3 paused)" in shown[2]


def test_durations() -> None:
    assert [duration(s) for s in (0.04, 9.96, 59, 61, 3599, 3600, 90_000)] == [
        "0.0 s", "10.0 s", "59 s", "1 min 01 s", "59 min 59 s", "1 h 00 min", "25 h 00 min",
    ]  # fmt: skip


def test_model_text_cannot_command_the_terminal() -> None:
    assert clean("a\x1b[31mb\x07\x9bc\n\t") == "a␛[31mb␇\ufffdc\n\t"


def test_on_a_terminal_the_panel_is_live(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", 4)
    args = ["run", str(prompts), "-o", str(tmp_path / "run"), *scripted(think=100, delay=0.003)]
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tessy", *args], stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        shown += data
    os.close(ours)
    assert process.wait(timeout=60) == 0
    text = shown.decode("utf-8", "replace")
    for word in (
        "tessy",
        "rows",
        "of 4",
        "active",
        "teacher share",
        "tokens/s",
        "discarded",
        "per 1,000 kept",
        "time left",
        "4 of 4 rows done",
    ):
        assert word in text, word
