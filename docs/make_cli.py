"""Writes ``docs/cli.md`` from the program's own help: ``python docs/make_cli.py``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from tessy.cli.app import create_app


def page() -> str:
    """The page as it should be."""
    os.environ.update(COLUMNS="80", TERMINAL_WIDTH="80", NO_COLOR="1")
    app, runner = create_app(), CliRunner()
    parts = ["# Commands\n\nWritten by `docs/make_cli.py` from the program's own help.\n"]
    for command in _commands(typer.main.get_command(app)):
        found = runner.invoke(app, [*command, "--help"], prog_name="tessy")
        assert found.exit_code == 0, found.output
        parts.append(f"## `{' '.join(['tessy', *command])}`\n\n```text\n{found.output.strip()}\n```\n")
    return "\n".join(parts)


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all commands, each before its own."""
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from _commands(command, (*path, name))


if __name__ == "__main__":
    Path(__file__).with_name("cli.md").write_text(page())
