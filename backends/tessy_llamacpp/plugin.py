"""What this package registers; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tessy.hooks import Plugin, hookimpl

__all__ = ["tessy_backends"]


def _load() -> type[Any]:
    try:
        from tessy_llamacpp.backend import LlamaCppBackend
    except ModuleNotFoundError as error:
        from tessy.errors import PluginLoadError

        raise PluginLoadError(
            f"backend 'llamacpp' needs the package {error.name!r}: pip install 'tessy-llm[llamacpp]'"
        ) from error
    return LlamaCppBackend


@hookimpl
def tessy_backends() -> Iterable[Plugin]:
    """The backend ``llamacpp``."""
    return [Plugin("llamacpp", "llama.cpp in this process, GGUF files", _load)]
