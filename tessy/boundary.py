"""The one door through which plugins' code is called: what it raises becomes our error, with its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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


@contextmanager
def plugin(origin: Origin, doing: str) -> Iterator[None]:
    """Run a plugin's code; a foreign exception becomes a `PluginError` that names it.

    Our own errors pass unchanged; so do cancellation and the interpreter's own exits. A cancellation
    that nobody asked for is the plugin's own: let through, it would end the task without a word.
    """
    try:
        yield
    except TessyError:
        raise
    except asyncio.CancelledError as error:
        if cancelled():
            raise
        raise PluginError(f"{origin} failed in {doing}: it cancelled itself") from error
    except Exception as error:
        raise PluginError(f"{origin} failed in {doing}: {type(error).__name__}: {error}") from error


def cancelled() -> bool:
    """Whether the running task has been asked to stop."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def stream(
    origin: Origin, doing: str, chunks: AsyncGenerator[Chunk, None]
) -> AsyncGenerator[Chunk, None]:
    """A plugin's stream behind the same door; closing it closes the plugin's."""
    try:
        while True:
            with plugin(origin, doing):
                try:
                    chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
            yield chunk
    finally:
        with plugin(origin, doing):
            await chunks.aclose()
