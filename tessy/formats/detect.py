"""Chooses the chat format from the model's own template, not from its name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from tessy.errors import ConfigError, DataError
from tessy.formats.base import PLAIN_ROW, THINK_ROW, ChatFormat
from tessy.formats.template import DATE, Template

__all__ = ["detect"]

_PROBE = [{"role": "user", "content": "Hello."}]
_ANSWER = "Goodbye."


def detect(
    source: str,
    *,
    bos_token: str = "",
    eos_token: str = "",
    controls: Collection[str] = (),
    name: str = "of the model",
    variables: Mapping[str, Any] | None = None,
    today: date = DATE,
) -> ChatFormat:
    """The chat format of a model with this template.

    Whether the model thinks is read off the template alone: vocabularies have ``<think>`` also where
    the model never writes it (Qwen3-Coder, Qwen3-Instruct-2507).

    Args:
        source: the Jinja text.
        bos_token: what the template may put first.
        eos_token: what it may put last.
        controls: the vocabulary's control strings; of these the end of a turn is chosen.
        name: of the template, for messages.
        variables: what the template is told besides (`Template`).
        today: the day it is told.

    Raises:
        ConfigError: the template is empty, does not compile, or cannot render a plain user message.
    """
    if not source.strip():
        raise ConfigError(f"chat template {name} is empty; give one with template=")
    template = Template(
        source, bos_token=bos_token, eos_token=eos_token, name=name, variables=variables, today=today
    )
    try:
        prompt = template.render(_PROBE)
    except DataError as error:
        raise ConfigError(f"{error}; give another with template=") from error
    if "<|channel|>" in source and "<|message|>" in source:
        return _channel(template, prompt)
    ends = _turn_ends(template, controls)
    # A prompt that closes the thinking itself asks for none.
    closed = prompt.rstrip().endswith("</think>")
    if ("</think>" in source and not closed) or prompt.rstrip().endswith("<think>"):
        return _think(template, prompt, ends)
    return ChatFormat("plain", template, turn_ends=ends, row=PLAIN_ROW)


def _channel(template: Template, prompt: str) -> ChatFormat:
    """``gpt-oss`` and its kin: thinking and answer are messages on channels of their own."""
    begun = prompt[prompt.rfind("<|start|>") :]
    start = "" if begun.startswith("<|start|>assistant") else "<|start|>assistant"
    return ChatFormat(
        "channel",
        template,
        open=start + "<|channel|>analysis<|message|>",
        close="<|end|><|start|>assistant<|channel|>final<|message|>",
        end_mark="<|end|>",
        answer_open=start + "<|channel|>final<|message|>",
        turn_ends=("<|end|>", "<|return|>"),
        row=THINK_ROW,
    )


def _think(template: Template, prompt: str, ends: tuple[str, ...]) -> ChatFormat:
    """Qwen3, DeepSeek-R1 and their kin: the thinking stands between ``<think>`` and ``</think>``.

    Some templates open it themselves, with or without the line break.
    """
    if prompt.endswith("<think>\n"):
        opened, skip = "", "\n</think>\n\n"
    elif prompt.endswith("<think>"):
        opened, skip = "\n", "\n\n</think>\n\n"
    else:
        opened, skip = "<think>\n", "<think>\n\n</think>\n\n"
    return ChatFormat(
        "think",
        template,
        open=opened,
        close="\n</think>\n\n",
        end_mark="</think>",
        answer_open=skip,
        turn_ends=ends,
        row=THINK_ROW,
    )


def _turn_ends(template: Template, controls: Collection[str]) -> tuple[str, ...]:
    """The control string that the template puts behind an assistant's answer.

    Vocabularies do not always tell: that of a base model ends texts, not turns.
    """
    try:
        text = template.render([*_PROBE, {"role": "assistant", "content": _ANSWER}, *_PROBE])
    except DataError:
        return ()
    _, found, rest = text.rpartition(_ANSWER)
    rest = rest.lstrip()
    fitting = [c for c in controls if c and rest.startswith(c)] if found else []
    return (max(fitting, key=len),) if fitting else ()
