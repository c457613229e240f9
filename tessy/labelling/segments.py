"""Labelled segments: pieces of thinking with the style spans in them, one JSON object a line.

::

    {"id": "a-3", "text": "Hmm, wait. So x = 2.", "spans": [[0, 10], [11, 13]],
     "family": "qwen3", "model": "qwen3-8b", "author": "student"}

``spans`` are half-open character offsets into ``text``, ascending, not empty, without overlap. ``family``
(for figures by family), ``model`` and ``author`` are optional; further columns are ignored.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tessy.errors import ConfigError, DataError
from tessy.replacing import replacing

__all__ = [
    "Row",
    "Segment",
    "Span",
    "TextRow",
    "check_spans",
    "line_of",
    "read_rows",
    "read_segments",
    "write_segments",
]

Span = tuple[int, int]
"""Characters ``[start, end)`` of a text that are style."""
_Row = TypeVar("_Row", bound="TextRow")


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of one model's thinking and its style spans.

    Attributes:
        id: unique in its file.
        text: as the model wrote it; may begin and end in mid-sentence.
        spans: what of it is style, in characters: ascending, not empty, without overlap.
        family: kind of model, for figures by family.
        model: who wrote it.
        author: ``teacher`` or ``student``.

    Raises:
        ValueError: the spans are not as they must be.
    """

    id: str
    text: str
    spans: tuple[Span, ...] = ()
    family: str | None = None
    model: str | None = None
    author: str | None = None

    def __post_init__(self) -> None:
        check_spans(self.text, self.spans)


def check_spans(text: str, spans: Sequence[Span]) -> None:
    """Raise `ValueError` unless the spans ascend, are not empty, do not overlap and lie in the text."""
    before = 0
    for start, end in spans:
        if start >= end:
            raise ValueError(f"span [{start}, {end}] is empty or turned around")
        if start < 0 or end > len(text):
            raise ValueError(
                f"span [{start}, {end}] does not lie in the text, which has {len(text)} characters"
            )
        if start < before:
            raise ValueError(f"span [{start}, {end}] overlaps the one before it or stands out of order")
        before = end


class TextRow(BaseModel):
    """A row that has a text; other columns are ignored."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", frozen=True, strict=True)

    id: str | Annotated[int, Field(ge=-(2**63), lt=2**64)]
    text: str
    author: Any = None

    @property
    def key(self) -> str | int:
        """By which it is told from the others."""
        return self.id


class Row(TextRow):
    """A row that becomes a segment, whose id is a string."""

    family: str | None = None
    model: str | None = None
    author: str | None = None

    @property
    def key(self) -> str:
        """By which it is told from the others."""
        return str(self.id)


class _Labelled(Row):
    spans: list[tuple[int, int]]


def read_segments(path: str | Path) -> list[Segment]:
    """The labelled segments of a file (``.gz`` too; ``-``: standard input), in its order.

    Raises:
        ConfigError: there is no such file, it cannot be read, or nothing is in it.
        DataError: a row is unusable; names file and line.
    """
    segments = []
    for where, row in read_rows(path, _Labelled):
        try:
            segments.append(Segment(row.key, row.text, tuple(row.spans), row.family, row.model, row.author))
        except ValueError as error:
            raise DataError(f"{where}: {error}") from None
    return segments


def read_rows(path: str | Path, shape: type[_Row]) -> Iterator[tuple[str, _Row]]:
    """The rows of a file, each with its place for messages ("rows.jsonl:7"). Raises as `read_segments`."""
    places: dict[str | int, str] = {}
    for where, line in _lines(str(path)):
        row = _row(where, line, shape)
        if row.key in places:
            raise DataError(f"{where}: id {row.key!r} stands at {places[row.key]} already; ids must differ")
        places[row.key] = where
        yield where, row
    if not places:
        raise ConfigError(f"{path}: no rows in it; one JSON object a line, with 'id' and 'text'")


def write_segments(path: str | Path, segments: Iterable[Segment], *, labelled: bool = True) -> None:
    """Write a file of segments, in place of one that may be there; without spans if not ``labelled``.

    Whoever reads it, or finds it after a kill, has the old file or the new one as a whole.
    """
    with replacing(Path(path), private=False) as file:
        file.writelines(line_of(segment, labelled=labelled) for segment in segments)


def line_of(segment: Segment, *, labelled: bool = True) -> bytes:
    """The segment's line, with its line break; columns without a value are left out."""
    columns: dict[str, Any] = {"id": segment.id, "text": segment.text}
    if labelled:
        columns["spans"] = segment.spans
    extra = {"family": segment.family, "model": segment.model, "author": segment.author}
    columns |= {name: value for name, value in extra.items() if value is not None}
    return orjson.dumps(columns, option=orjson.OPT_APPEND_NEWLINE)


def _lines(name: str) -> Iterator[tuple[str, bytes]]:
    shown, path = ("standard input" if name == "-" else name), Path(name)
    try:
        if name != "-" and not path.is_file():
            what = "is a folder; name a JSONL file" if path.is_dir() else "no such file"
            raise ConfigError(f"{name}: {what}")
        opened: Any = (
            nullcontext(sys.stdin.buffer)
            if name == "-"
            else gzip.open(path)
            if path.suffix == ".gz"
            else path.open("rb")
        )
        with opened as file:
            for number, line in enumerate(file, 1):
                text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if text.strip():
                    yield f"{shown}:{number}", text
    except (OSError, EOFError) as error:
        raise ConfigError(f"{shown}: cannot be read: {error}") from error


def _row(where: str, line: bytes, shape: type[_Row]) -> _Row:
    try:
        return shape.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid":
            raise DataError(f"{where}: not JSON: {first['ctx']['error']}") from None
        if not first["loc"]:
            raise DataError(f"{where}: a row must be a JSON object with 'id' and 'text'") from None
        column = first["loc"][0]
        said = "is missing" if first["type"] == "missing" else first["msg"]
        if column == "id" and first["type"] != "missing":
            said = "must be a string, or a whole number of at most 64 bits"
        raise DataError(f"{where}: {column!r}: {said.replace('Input should be', 'must be')}") from None
