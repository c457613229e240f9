"""A source's rows as they stand there, each with its place for messages."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tessy.errors import ConfigError
from tessy.sources.files import read_file, read_lines
from tessy.sources.folders import read_folder, split_folder
from tessy.sources.hub import HubName, read_dataset
from tessy.types import Prompt

__all__ = ["read_rows"]


def read_rows(source: str | Iterable[Any], column: str | None = None) -> Iterator[tuple[str, Any]]:
    """Where each row stands ("prompts.jsonl:7"), and what stands there, which may be anything.

    Texts and `Prompt` that a program gives become rows with their prompt in ``column``.

    Raises:
        ConfigError: the source is not there, cannot be read, or a package to read it is missing.
        DataError: a line is not JSON; names file and line.
    """
    if not isinstance(source, str):
        return _given(source, column)
    if source == "-":
        return read_lines("standard input", sys.stdin.buffer)
    if not source:  # as a path, it would be the folder that one is in
        raise ConfigError("no prompts are given: the name is empty")
    path = Path(source)
    try:
        if path.is_file():
            return read_file(path, source)
        if (found := split_folder(source)) is not None:
            return read_folder(*found)
        if path.exists():
            raise ConfigError(f"{source}: is neither a file nor a folder; give a pipe as standard input: -")
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from error
    if (hub := HubName.parse(source)) is not None:
        return read_dataset(source, hub)
    raise ConfigError(f"{source}: no such file")


def _given(rows: Iterable[Any], column: str | None) -> Iterator[tuple[str, Any]]:
    for number, row in enumerate(rows, 1):
        data: Any = row
        if isinstance(row, str):
            data = {column or "prompt": row}
        elif isinstance(row, Prompt):
            messages = [{"role": m.role, "content": m.content} for m in row.messages]
            data = {column or "messages": messages}
        elif isinstance(row, Mapping):
            data = dict(row)
        yield f"prompt {number}", data
