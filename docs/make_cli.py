"""Writes ``docs/cli.md`` from the program's own help: ``python docs/make_cli.py``."""

from __future__ import annotations

import os
from pathlib import Path

from typer.testing import CliRunner

from tessy.cli.app import create_app

DETECTOR = ("detector", *(f"detector {step}" for step in ("sample", "annotate", "train", "eval", "label")))
COMMANDS = ("", "run", "preview", "show", "doctor", *DETECTOR, "plugins")


def page() -> str:
    """The page as it should be."""
    os.environ.update(COLUMNS="80", TERMINAL_WIDTH="80", NO_COLOR="1")
    app, runner = create_app(), CliRunner()
    parts = ["# Commands\n\nWritten by `docs/make_cli.py` from the program's own help.\n"]
    for command in COMMANDS:
        found = runner.invoke(app, [*command.split(), "--help"], prog_name="tessy")
        assert found.exit_code == 0, found.output
        parts.append(f"## `{f'tessy {command}'.strip()}`\n\n```\n{found.output.strip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("cli.md").write_text(page())
