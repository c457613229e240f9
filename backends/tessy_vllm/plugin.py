"""What this package registers; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tessy.hooks import Plugin, hookimpl

__all__ = ["tessy_backends"]


def _load() -> type[Any]:
    from tessy_vllm.backend import VllmBackend

    return VllmBackend


@hookimpl
def tessy_backends() -> Iterable[Plugin]:
    """The backend ``vllm``."""
    return [Plugin("vllm", "vLLM in this process, or with @URL its server, in token ids", _load)]
