"""``scores.jsonl``: the figures of each row of a run, for exports and reports.

The first line says who scored: ``{"scores": 1, "scorer": {…}, "rows": N}``. Each further one is
``{"id", "scores": {name: number}}``, in the order of ``data.jsonl``; a figure that a row has no share in is
left out. The file appears as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from tessy.errors import ConfigError, DataError
from tessy.replacing import replacing

__all__ = ["FILE", "FORMAT", "publish", "published_rows", "read_scores"]

FILE = "scores.jsonl"
FORMAT = 1


def publish(folder: Path, scorer: Mapping[str, Any], rows: Iterable[tuple[str, Mapping[str, float]]]) -> None:
    """Write the file anew.

    Raises:
        OSError: it cannot be written; the old one is as it was.
    """
    path = folder / FILE
    lines = [orjson.dumps({"id": id, "scores": scores}) + b"\n" for id, scores in rows]
    header = {"scores": FORMAT, "scorer": scorer, "rows": len(lines)}
    with replacing(path, durable=True) as file:
        file.write(orjson.dumps(header) + b"\n")
        file.writelines(lines)


def read_scores(folder: Path) -> tuple[dict[str, Any], Iterator[tuple[str, dict[str, float]]]]:
    """The first line of a run's scores, and then each row's id and figures.

    Raises:
        ConfigError: the run was not scored.
        DataError: the file is none of tessy's; also raised while it is read.
    """
    path = folder / FILE
    try:
        with open(path, "rb") as file:
            header = _parsed(file.readline(), path, 1)
    except FileNotFoundError:
        raise ConfigError(
            f"{folder}: was not scored (no {FILE}); tessy score {folder} --student SPEC does that"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if header.get("scores") != FORMAT:
        raise DataError(f"{path}: not scores of this version of tessy; tessy score writes them anew")
    return header, _rows(path)


def published_rows(folder: Path) -> int:
    """How many rows the file has; 0 where there is none that can be read."""
    try:
        return int(read_scores(folder)[0]["rows"])
    except (ConfigError, DataError, KeyError, TypeError, ValueError):
        return 0


def _rows(path: Path) -> Iterator[tuple[str, dict[str, float]]]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if number > 1:
                row = _parsed(line, path, number)
                yield row["id"], row["scores"]


def _parsed(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{path}:{number}: not JSON: {error}; tessy score writes it anew") from error
    if not isinstance(found, dict) or (number > 1 and not {"id", "scores"} <= found.keys()):
        raise DataError(f"{path}:{number}: not a row of scores; tessy score writes it anew")
    return found
