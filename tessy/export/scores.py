"""The scores that ``tessy score`` left in a run directory, by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from tessy.errors import ConfigError, DataError
from tessy.rundata import RunData

__all__ = ["SCORES", "header", "row_scores"]

SCORES = "scores.jsonl"


def header(run: RunData) -> Mapping[str, Any] | None:
    """What the file says of itself: the scorer and its settings; ``None`` where there is no file."""
    for where, line in run.lines(SCORES):
        return _parsed(line, where)
    return None


def row_scores(run: RunData) -> dict[str, dict[str, float]]:
    """The scores of each row by id.

    Raises:
        ConfigError: the run has not been scored.
        DataError: a line is no scores.
    """
    found: dict[str, dict[str, float]] = {}
    lines = run.lines(SCORES)
    if next(lines, None) is None:
        raise ConfigError(f"{run.folder}: has no scores yet; run: tessy score {run.folder} --student SPEC")
    for where, line in lines:
        data = _parsed(line, where)
        try:
            numbers = {k: float(v) for k, v in data["scores"].items() if isinstance(v, (int, float))}
            found[str(data["id"])] = numbers
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{where}: not the scores of a row: {error}") from error
    return found


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise DataError(f"{where}: not a JSON object")
    return data
