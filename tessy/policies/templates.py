"""Texts with places to fill in, ``{prompt}`` and the like: instructions and rubrics that users may give."""

from __future__ import annotations

import re

from tessy.types import Prompt

__all__ = ["as_text", "check_places", "fill"]


def check_places(template: str, *names: str) -> str:
    """The template, if each of these places is in it.

    Raises:
        ValueError: one is not.
    """
    for name in names:
        if f"{{{name}}}" not in template:
            raise ValueError(f"has no {{{name}}}; it needs {' and '.join(f'{{{one}}}' for one in names)}")
    return template


def fill(template: str, **values: str) -> str:
    """The template with its places filled; other braces, and places inside a value, stay as they are."""
    places = "|".join(map(re.escape, values))
    return re.sub(rf"\{{({places})\}}", lambda found: values[found[1]], template)


def as_text(prompt: Prompt) -> str:
    """A conversation in one text: the message itself if it is the only one, else each under its role."""
    if len(prompt.messages) == 1:
        return prompt.messages[0].content
    return "\n\n".join(f"[{message.role}]\n{message.content}" for message in prompt.messages)
