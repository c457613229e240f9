"""Fenced blocks of a Markdown page, with the marks that say how each is tested.

A mark is an HTML comment directly before the block, so readers do not see it:

``<!-- not run: REASON -->``
    It cannot run here (GPU, network, key). Shell is then played with commands that only take down how they
    were called, and every ``tessy`` among them is held against the real options and plugins; Python is
    compiled.
``<!-- file: PATH -->``
    The content of a file: written into the page's folder.
``<!-- output -->``
    What the block before has printed. A line ``…`` stands for any lines, ``…`` in a line for anything;
    empty lines do not count.
``<!-- exit: N -->``
    The exit code of a shell block, if it is not 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from markdown_it import MarkdownIt

__all__ = ["MARKS", "Block", "blocks", "inline_code", "links"]

MARKS = ("not run", "file", "output", "exit")
_MARKDOWN = MarkdownIt().enable("table")
_MARK = re.compile(r"<!--\s*([a-z ]+?)\s*(?::\s*(.*?))?\s*-->", re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block; ``line`` is that of its first line of text."""

    page: str
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str, text: str) -> list[Block]:
    """All fenced blocks of a page, in order.

    Raises:
        ValueError: a comment before a block is no mark, or a mark lacks its value.
    """
    found: list[Block] = []
    marks: dict[str, str] = {}
    for token in _MARKDOWN.parse(text):
        if token.type == "html_block":
            for name, value in _MARK.findall(token.content):
                marks[name] = value
            continue
        if token.type == "fence":
            line = (token.map or [0])[0] + 2
            _check(f"{page}:{line}", marks)
            language = token.info.split()[0] if token.info.strip() else ""
            found.append(Block(page, line, language, token.content, marks))
        marks = {}
    return found


def inline_code(text: str) -> list[str]:
    """Code in running text and tables."""
    children = [child for token in _MARKDOWN.parse(text) for child in token.children or ()]
    return [child.content for child in children if child.type == "code_inline"]


def links(text: str) -> list[str]:
    """Where links and pictures of a page lead."""
    children = [child for token in _MARKDOWN.parse(text) for child in token.children or ()]
    return [str(child.attrs[name]) for child in children for name in ("href", "src") if name in child.attrs]


def _check(where: str, marks: dict[str, str]) -> None:
    for name, value in marks.items():
        if name not in MARKS:
            raise ValueError(f"{where}: no such mark: {name!r}; there are {', '.join(MARKS)}")
        if not value and name != "output":
            raise ValueError(f"{where}: mark {name!r} needs a value: <!-- {name}: … -->")
