"""Text modes cannot quote: a model's text that spells a control string would become the control token."""

from __future__ import annotations

import re
from collections.abc import Collection

from tessy.errors import UnsafeText
from tessy.types import Prompt

__all__ = ["check_prompt", "check_text"]

_USUAL = re.compile(
    r"<\|[A-Za-z_][\w.-]*\|>|<｜[^<>｜]{1,40}｜>|</?think>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>|<[eb]os>"
)
"""What control strings look like where the model's own are not known."""


def check_text(what: str, text: str, controls: Collection[str]) -> None:
    """Refuse text that spells a control string.

    Raises:
        UnsafeText: it does; says which.
    """
    found = next((control for control in controls if control in text), None)
    if found is None and not controls and (match := _USUAL.search(text)) is not None:
        found = match.group()
    if found is not None:
        raise UnsafeText(
            f"{what}: the text spells the control string {found!r}, which this continuation mode cannot send "
            "as plain text; continuation=token-ids can"
        )


def check_prompt(what: str, prompt: Prompt, controls: Collection[str]) -> None:
    """The same for a prompt's messages."""
    for message in prompt.messages:
        check_text(what, message.content, controls)
