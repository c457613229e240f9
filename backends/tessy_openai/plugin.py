"""What this package registers; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tessy.hooks import Plugin, hookimpl

__all__ = ["tessy_backends"]


def _load() -> type[Any]:
    from tessy_openai.backend import OpenAIBackend

    return OpenAIBackend


@hookimpl
def tessy_backends() -> Iterable[Plugin]:
    """The backend ``openai``."""
    return [Plugin("openai", "any OpenAI-compatible service, hosted or your own", _load)]
