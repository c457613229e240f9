"""Rows of one file: JSONL, plain or compressed, or Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from tessy.errors import ConfigError, DataError
from tessy.sources.compressed import ERRORS, open_unpacked
from tessy.sources.exact import check_read
from tessy.sources.hints import WANTED, recognized

__all__ = ["read_file", "read_lines"]

_NO_NUMBERS = ("NaN", "nan", "Infinity", "-Infinity", "inf")


def read_file(path: Path, name: str) -> Iterator[tuple[str, Any]]:
    """The rows of a file, which messages call ``name``.

    Raises:
        ConfigError: it cannot be read.
        DataError: a line is not JSON.
    """
    return _parquet(path, name) if path.suffix == ".parquet" else _jsonl(path, name)


def read_lines(name: str, file: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    """The rows of JSON lines.

    Raises:
        DataError: a line is not JSON, or its object does not come through to the letter.
    """
    first = True
    for number, line in enumerate(file, 1):
        text = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).rstrip()
        if not text:
            continue
        where = f"{name}:{number}"
        try:
            data = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise DataError(_not_json(name, where, text, error, first)) from error
        if first and not isinstance(data, dict) and (what := recognized(name, text)):
            raise DataError(f"{name}: {what}")
        first = False
        try:
            check_read(text, data)
        except ValueError as error:
            raise DataError(f"{where}: {error}") from error
        yield where, data


def _not_json(name: str, where: str, text: bytes, error: orjson.JSONDecodeError, first: bool) -> str:
    """Why a line cannot be read; the first one tells what the whole file is."""
    if first and (what := recognized(name, text)):
        return f"{name}: {what}"
    said = f"{error.msg} at column {error.colno}"
    if not _is_utf8(text):
        said = "its text is not UTF-8"
    elif "surrogate" in said:
        said += " (a lone surrogate is not text)"
    elif text.decode()[error.pos :].startswith(_NO_NUMBERS):
        said += " (JSON has neither NaN nor Infinity; write null)"
    elif text.startswith(b"{") and not text.endswith(b"}"):
        said += ", the object does not end on its line"
    return f"{where}: not JSON: {said}" + (f"; {WANTED}" if first else "")


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _jsonl(path: Path, name: str) -> Iterator[tuple[str, Any]]:
    try:
        with open_unpacked(path) as file:
            yield from read_lines(name, file)
    except ERRORS as error:
        said = (error.strerror if isinstance(error, OSError) else None) or error
        raise ConfigError(f"{name}: cannot be read: {said}") from error


def _parquet(path: Path, name: str) -> Iterator[tuple[str, Any]]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ConfigError(
            f"{name}: reading Parquet needs the extra 'data': pip install 'tessy-llm[data]'"
        ) from error
    number = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=1024):
            for data in batch.to_pylist():
                number += 1
                yield f"{name}: row {number}", data
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name}: cannot be read as Parquet: {error}") from error
