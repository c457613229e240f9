"""Runs the real command line, in this process or in one of its own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tessy.cli import main

MODELS = Path(__file__).parents[2] / "examples" / "miniature" / "models"
PAIR = [
    "--teacher", f"llamacpp:{MODELS / 'teacher.gguf'}?n_ctx=1024",
    "--student", f"llamacpp:{MODELS / 'student.gguf'}?n_ctx=1024",
]  # fmt: skip


def scripted(**options: Any) -> list[str]:
    """Flags for a scripted pair."""
    query = "&".join(f"{key}={value}" for key, value in options.items())
    return ["--teacher", f"scripted:t?{query}", "--student", f"scripted:s?{query}"]


def tessy(*args: object, code: int | None = 0, **extra: Any) -> subprocess.CompletedProcess[str]:
    """Run to the end; ``code`` is the exit code it must have.

    In this process, which saves the start; with ``extra`` (``env``, ``cwd``, ``stdin`` …) in one of its own.
    """
    if extra:
        return process(*args, code=code, **extra)
    out, err = _captured(), _captured()
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO())),
        patch.dict(os.environ, {"COLUMNS": "80"}),  # as without a terminal, wherever the tests run
    ):
        try:
            main([str(arg) for arg in args])
        except SystemExit as end:
            ended = end.code
    found = subprocess.CompletedProcess(args, ended, _text(out), _text(err))
    return _checked(found, code)


def process(*args: object, code: int | None = 0, **extra: Any) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own."""
    found = subprocess.run(
        [sys.executable, "-m", "tessy", *map(str, args)],
        capture_output=True, text=True, timeout=600, stdin=extra.pop("stdin", subprocess.DEVNULL), **extra,
    )  # fmt: skip
    return _checked(found, code)


def _captured() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _text(captured: io.TextIOWrapper) -> str:
    buffer = captured.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


def _checked(found: subprocess.CompletedProcess[str], code: int | None) -> subprocess.CompletedProcess[str]:
    assert code is None or found.returncode == code, (found.returncode, found.stdout, found.stderr)
    return found


def begin(*args: object, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start and go on."""
    return subprocess.Popen(
        [sys.executable, "-m", "tessy", *map(str, args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        env=env,
    )  # fmt: skip


def spans(run: Path) -> int:
    """How many spans the journal has now; 0 while there is none."""
    import sqlite3

    try:
        db = sqlite3.connect(f"file:{run / 'journal.sqlite'}?mode=ro", uri=True)
        try:
            return int(db.execute("SELECT count(*) FROM spans").fetchone()[0])
        finally:
            db.close()
    except sqlite3.Error:
        return 0


def stop_after(process: subprocess.Popen[str], run: Path, count: int, number: int = signal.SIGKILL) -> int:
    """Send the signal once the journal has so many spans (or the process has ended); the exit code."""
    deadline = time.monotonic() + 240
    while process.poll() is None and spans(run) < count and time.monotonic() < deadline:
        time.sleep(0.005)  # another process writes; there is nothing of it to wait for
    process.send_signal(number)
    process.communicate(timeout=240)
    return process.returncode


def rows(run: Path, name: str = "data.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / name).read_text().splitlines()]
