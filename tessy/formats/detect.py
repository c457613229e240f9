"""Chooses the chat format from the model's own template and vocabulary, not from its name."""

from __future__ import annotations

from collections.abc import Collection

from tessy.errors import ConfigError, DataError
from tessy.formats.base import PLAIN_ROW, THINK_ROW, ChatFormat
from tessy.formats.template import Template

__all__ = ["detect"]

_PROBE = [{"role": "user", "content": "Hello."}]


def detect(
    source: str,
    *,
    bos_token: str = "",
    eos_token: str = "",
    controls: Collection[str] = (),
    name: str = "of the model",
) -> ChatFormat:
    """The chat format of a model with this template and these control strings.

    Raises:
        ConfigError: the template is empty, does not compile, or cannot render a plain user message.
    """
    if not source.strip():
        raise ConfigError(f"chat template {name} is empty; give one with template=")
    template = Template(source, bos_token=bos_token, eos_token=eos_token, name=name)
    try:
        prompt = template.render(_PROBE)
    except DataError as error:
        raise ConfigError(f"{error}; give another with template=") from error
    if "<|channel|>" in source and "<|message|>" in source:
        return _channel(template, prompt)
    if "</think>" in source or "</think>" in controls:
        return _think(template, prompt)
    return ChatFormat("plain", template, row=PLAIN_ROW)


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


def _think(template: Template, prompt: str) -> ChatFormat:
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
        row=THINK_ROW,
    )
