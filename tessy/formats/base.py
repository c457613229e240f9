"""What a chat format is, and how a prompt is rendered without letting its text command the model."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from tessy.formats.template import Template
from tessy.types import Prompt

__all__ = ["PLAIN_ROW", "THINK_ROW", "ChatFormat", "Piece"]

THINK_ROW = ("<think>\n", "\n</think>\n\n")
PLAIN_ROW = ("", "")
_THOUGHT = re.compile(r"(\s*<think>)(.*?)(</think>)", re.S)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a rendered prompt; ``control``: its control strings mean what they say."""

    text: str
    control: bool


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """How one model's prompt, thinking and answer are laid out. All marks are exact strings.

    Attributes:
        name: ``think``, ``channel`` or ``plain``.
        template: the model's own template.
        open: follows the generation prompt and opens the thinking, as far as the template has not.
        close: from the end of the thinking to the beginning of the answer.
        end_mark: the control string in ``close`` by whose token the end of the thinking is recognised.
        answer_open: follows the generation prompt when the thinking is skipped.
        turn_ends: control strings that end the turn in the answer, besides the vocabulary's own.
        row: the marks around the thinking in a stored row.
    """

    name: str
    template: Template
    open: str = ""
    close: str = ""
    end_mark: str = ""
    answer_open: str = ""
    turn_ends: tuple[str, ...] = ()
    row: tuple[str, str] = PLAIN_ROW

    @property
    def thinks(self) -> bool:
        """Whether there is a thinking at all."""
        return self.end_mark != ""

    def render(self, prompt: Prompt, controls: Collection[str]) -> list[Piece]:
        """The prompt up to and including the generation prompt.

        Control strings inside a message's content come back as pieces of their own that are not
        control: they are rendered as placeholders, so the template cannot see them either. Everything
        else stays in one piece, so its tokens are those of the reference tokenizer. Only the marks of
        the thinking that an assistant's message begins with are left to the template, which knows
        whether to show it again.
        """
        messages = [{"role": m.role, "content": m.content} for m in prompt.messages]
        found = _occurring([m.content for m in prompt.messages], controls)
        if not found:
            return [Piece(self.template.render(messages), True)]
        mark = _unused([m.content for m in prompt.messages])
        order = sorted(found, key=len, reverse=True)
        places = {text: f"{mark}{i}{mark}" for i, text in enumerate(order)}
        quoted = re.compile("|".join(map(re.escape, order)))
        for message in messages:
            thought = self.name == "think" and message["role"] == "assistant"
            message["content"] = "".join(
                part if is_mark else quoted.sub(lambda m: places[m.group()], part)
                for part, is_mark in _marks(message["content"], thought)
            )
        text = self.template.render(messages)
        pieces = []
        for i, part in enumerate(re.split(f"{mark}(\\d+){mark}", text)):
            if i % 2:
                pieces.append(Piece(order[int(part)], False))
            elif part:
                pieces.append(Piece(part, True))
        return pieces


def _marks(content: str, thought: bool) -> list[tuple[str, bool]]:
    """The content in parts, told apart: marks of a thinking that it begins with, and the rest."""
    match = _THOUGHT.match(content) if thought else None
    if match is None:
        return [(content, False)]
    return [(match[1], True), (match[2], False), (match[3], True), (content[match.end() :], False)]


def _occurring(texts: list[str], controls: Collection[str]) -> set[str]:
    return {control for control in controls if any(control in text for text in texts)}


def _unused(texts: list[str]) -> str:
    """A private-use character that no text contains."""
    for code in range(0xE000, 0xF8FF):
        if not any(chr(code) in text for text in texts):
            return chr(code)
    return "\U000f0000\U000ffffd"
