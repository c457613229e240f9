"""llama.cpp's log, kept for error messages instead of being printed; calls that keep Python's lock."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any

import llama_cpp
from llama_cpp import llama_cpp as bindings

__all__ = ["LogTap", "holding", "log_tap"]


class LogTap:
    """Keeps the last lines that llama.cpp logged. The log is one for the whole process."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=200)
        # The callback object must live as long as llama.cpp may call it.
        self._callback = llama_cpp.llama_log_callback(self._log)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def clear(self) -> None:
        """Forget what was logged so far."""
        self._lines.clear()

    def errors(self) -> str:
        """The last few lines that speak of a failure, else the last one."""
        lines = [line.strip() for line in "".join(self._lines).splitlines() if line.strip()]
        telling = [
            line for line in lines if any(w in line.lower() for w in ("error", "fail", "unable", "unknown"))
        ]
        return "; ".join((telling or lines[-1:])[-3:]) or "llama.cpp gave no reason"

    def _log(self, level: int, text: bytes, data: ctypes.c_void_p) -> None:
        self._lines.append(text.decode("utf-8", "replace"))


@cache
def log_tap() -> LogTap:
    """The process's tap, set up at the first call."""
    llama_cpp.llama_backend_init()
    return LogTap()


def holding(name: str) -> Callable[..., Any]:
    """A function of libllama that keeps Python's lock while it runs: for thousands of very short calls.

    ctypes lets go of the lock around each call otherwise, and whoever takes it meanwhile (the event loop, the
    other model's engine) may keep it for milliseconds.
    """
    plain = getattr(bindings, name)
    kept = ctypes.PyDLL(bindings._lib._name)[name]
    kept.argtypes, kept.restype = plain.argtypes, plain.restype
    function: Callable[..., Any] = kept
    return function
