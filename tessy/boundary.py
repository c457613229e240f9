"""The one door through which plugins' code is called: what it raises becomes our error, with its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from types import TracebackType

from tessy.errors import PluginError, TessyError
from tessy.types import Chunk

__all__ = ["Origin", "cancelled", "plugin", "stream"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Which plugin, of which package, in which part."""

    kind: str
    name: str
    package: str = "tessy-llm"

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} (package {self.package})"


class plugin:
    """Run a plugin's code; a foreign exception becomes a `PluginError` that names it.

    Our own errors pass unchanged; so do cancellation and the interpreter's own exits. A cancellation
    that nobody asked for is the plugin's own: let through, it would end the task without a word.

    A class, not a generator: it stands around every chunk.
    """

    __slots__ = ("_doing", "_origin")

    def __init__(self, origin: Origin, doing: str) -> None:
        self._origin = origin
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, TessyError):
            return
        if isinstance(error, asyncio.CancelledError):
            if cancelled():
                return
            said = "it cancelled itself"
        elif isinstance(error, Exception):
            said = f"{type(error).__name__}: {error}"
        else:
            return
        raise PluginError(f"{self._origin} failed in {self._doing}: {said}") from error


def cancelled() -> bool:
    """Whether the running task has been asked to stop."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def stream(
    origin: Origin, doing: str, chunks: AsyncGenerator[Chunk, None]
) -> AsyncGenerator[Chunk, None]:
    """A plugin's stream behind the same door; closing it closes the plugin's."""
    door = plugin(origin, doing)
    try:
        while True:
            with door:
                try:
                    chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
            yield chunk
    finally:
        with door:
            await chunks.aclose()
