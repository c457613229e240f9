"""A finished trace in colour: who wrote what."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from tessy.cli.clean import clean
from tessy.cli.progress import AUTHOR_STYLES

__all__ = ["clean", "coloured", "legend"]


def coloured(row: dict[str, Any]) -> Text:
    """The assistant's message of a row, each span in its author's colour, the marks dim."""
    content = row["messages"][-1]["content"]
    text, at = Text(), 0
    for span in row["tessy"]["spans"]:
        text.append(clean(content[at : span["start"]]), "dim")
        style = AUTHOR_STYLES.get(span["author"], "magenta")
        text.append(clean(content[span["start"] : span["end"]]), style)
        at = span["end"]
    text.append(clean(content[at:]), "dim")
    return text


def legend() -> Text:
    """Which colour is whose."""
    text = Text()
    for role, style in AUTHOR_STYLES.items():
        text.append("■ ", style)
        text.append(f"{role}   ", style)
    return text
