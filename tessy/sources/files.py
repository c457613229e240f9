"""Rows of one file: JSONL, plain or compressed, or Parquet."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from tessy.errors import ConfigError, DataError

__all__ = ["COMPRESSED", "read_file", "read_lines"]

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
COMPRESSED = frozenset(_OPENERS)
"""How names of compressed files end."""


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
        DataError: a line is not JSON.
    """
    for number, line in enumerate(file, 1):
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not text.strip():
            continue
        where = f"{name}:{number}"
        try:
            yield where, orjson.loads(text)
        except orjson.JSONDecodeError as error:
            hint = " (a lone surrogate is not text)" if "surrogate" in str(error) else ""
            raise DataError(f"{where}: not JSON: {error}{hint}") from error


def _jsonl(path: Path, name: str) -> Iterator[tuple[str, Any]]:
    try:
        with _OPENERS.get(path.suffix, open)(path, "rb") as file:
            yield from read_lines(name, file)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise ConfigError(f"{name}: cannot be read: {error}") from error


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
