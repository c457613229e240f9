"""Flags that the commands around detectors share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Author", "AuthorFlag", "DetectorsFlag", "SegmentsArgument"]


class Author(StrEnum):
    """Who writes."""

    teacher = "teacher"
    student = "student"


AuthorFlag = Annotated[
    Author | None,
    typer.Option(help="Whom the texts are by; default: what the rows say, else teacher.", show_default=False),
]
DetectorsFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--detector",
        help="NAME[:FOLDER][?KEY=VALUE&...]; default: what a run uses. Repeatable.",
        metavar="SPEC",
        show_default=False,
    ),
]
SegmentsArgument = Annotated[
    Path, typer.Argument(help="Labelled segments (JSONL).", metavar="SEGMENTS", show_default=False)
]
