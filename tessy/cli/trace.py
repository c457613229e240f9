"""A finished trace in colour: who wrote what."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from tessy.cli.clean import clean
from tessy.cli.progress import AUTHOR_STYLES

if TYPE_CHECKING:
    from tessy.rundata import Row

__all__ = ["clean", "coloured", "figures", "legend", "paged", "show_row"]


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


def figures(row: Row) -> str:
    """Tokens by author, changes of author, and how it ended."""
    tokens = row.tessy["tokens"]
    return (
        f"teacher {tokens.get('teacher', 0):,} tokens, student {tokens.get('student', 0):,}, "
        f"{row.tessy['switches']:,} switches, {row.tessy['finish']}"
    )


def show_row(console: Console, row: Row) -> None:
    """Prompt, trace and figures."""
    console.print(clean(row.id), style="bold", markup=False, highlight=False)
    for message in row.messages[:-1]:
        console.print(clean(f"{message['role']}: {message['content']}"), markup=False, highlight=False)
    console.print(legend())
    console.print(coloured(row.data))
    console.print(clean(figures(row)), style="dim", highlight=False, markup=False)


@contextmanager
def paged(console: Console, wanted: bool) -> Iterator[None]:
    """On a terminal, show what is printed in the user's pager, in colour."""
    if not (wanted and console.is_terminal):
        yield
        return
    os.environ.setdefault("LESS", "-FRX")  # colours; and no pager at all for what fits on the screen
    with console.pager(styles=True):
        yield
