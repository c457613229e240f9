"""Chat templates: rendering prompts and completions with one, and holding records against it.

A trainer renders ``messages`` with the student's own template. Some templates show a thinking inline, some in
a field, some drop it: then the student would learn to answer without thinking, and no error would say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tessy.errors import ConfigError
from tessy.export.masks import Ranges, inline, merged, phase
from tessy.export.settings import Settings
from tessy.formats import BUILTIN, ChatFormat, detect, load_template
from tessy.rundata import Row
from tessy.types import Message, Prompt

__all__ = ["Checked", "Rendered", "load"]

_ENDS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<｜end▁of▁sentence｜>",
    "<|return|>",
    "<|end|>",
    "</s>",
    "<|endoftext|>",
)
"""What ends a turn in the families that built-in templates and files without a tokenizer stand for."""


def load(source: str) -> ChatFormat:
    """The chat format that ``--template`` names: a built-in name, a file, a model folder or hub id.

    Raises:
        ConfigError: there is none.
    """
    from tessy.tokens.files import load_model_files

    path = Path(source).expanduser()
    if source in BUILTIN or path.is_file():
        return detect(load_template(str(path) if path.is_file() else source), controls=_ENDS, name=source)
    if path.is_dir() and not (path / "tokenizer.json").is_file():
        return detect(load_template(str(path)), controls=_ENDS, name=source)
    return load_model_files(source, option="--template").format()


class Rendered:
    """Prompt and completion as the text that the student reads and writes, marks and end of turn included."""

    def __init__(self, chat: ChatFormat, settings: Settings) -> None:
        if not chat.turn_ends:
            raise ConfigError(
                f"--template {settings.template}: how a turn ends cannot be told from it; "
                "name the model's folder or hub id, which has a tokenizer"
            )
        self._chat = chat
        self._masks = settings.masks

    def __call__(self, row: Row) -> tuple[str, str, Ranges | None]:
        """Prompt, completion, and what of the completion is learnt (``None``: all).

        Raises:
            DataError: the template refuses the prompt.
        """
        chat, masks = self._chat, self._masks
        prompt = Prompt(tuple(Message(m["role"], m["content"]) for m in row.messages[:-1]))
        text = "".join(piece.text for piece in chat.render(prompt, ()))
        end = chat.turn_ends[-1] if chat.name == "channel" else chat.turn_ends[0]
        # Parts with what is learnt of each; marks and the end of the turn are, whoever wrote the rest.
        if not chat.thinks:
            parts = [(row.content, inline(row, masks))]
        elif row.spans and row.spans[0]["start"] > 0:
            parts = [
                _mark(chat.open),
                (row.thinking, phase(row, "think", masks)),
                _mark(chat.close),
                (row.answer, phase(row, "answer", masks)),
            ]
        else:
            parts = [_mark(chat.answer_open), (row.answer, phase(row, "answer", masks))]
        ranges: Ranges = []
        completion = ""
        for part, learnt in [*parts, _mark(end)]:
            ranges += [[start + len(completion), stop + len(completion)] for start, stop in learnt]
            completion += part
        return text, completion, merged(ranges) if masks else None


def _mark(text: str) -> tuple[str, Ranges]:
    return text, [[0, len(text)]]


class Checked:
    """Holds records against the student's template: what it renders shows the thinking exactly once."""

    def __init__(self, chat: ChatFormat, settings: Settings) -> None:
        self._chat = chat
        self._settings = settings

    def __call__(self, row: Row, messages: Sequence[Mapping[str, Any]]) -> None:
        """Check one record.

        Raises:
            ConfigError: the template drops the thinking of this form, or shows it twice.
            DataError: it refuses the conversation.
        """
        thinking = row.thinking.strip()
        if not thinking:
            return
        shown = self._chat.template.render(messages, generate=False).count(thinking)
        if shown == 1 or (shown > 1 and row.answer.count(thinking) + 1 == shown):
            return
        other = "field" if self._settings.reasoning == "inline" else "inline"
        does = "does not show" if shown == 0 else f"shows {shown} times"
        raise ConfigError(
            f"{row.where}: --template {self._settings.template} {does} the thinking of a message with "
            f"--reasoning {self._settings.reasoning}; try --reasoning {other}, another --reasoning-field, or "
            f"--format prompt-completion with this --template, which writes the text itself"
        )
