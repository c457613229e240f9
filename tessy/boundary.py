"""The one door through which plugins' code is called: what it raises becomes our error, with its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from types import TracebackType

from tessy.abc import Backend, Session
from tessy.errors import BackendTimeout, PluginError, TessyError
from tessy.stall import Late, Stall
from tessy.types import Chunk, Request

__all__ = ["Origin", "cancelled", "plugin", "stream", "uncounted"]

_TURN = 64
"""Chunks after which the event loop has its turn: a stream whose chunks are there already never waits."""
_EMPTY = 10_000
"""Chunks in a row without text or tokens; engines send a few, as signs of life."""
_SLACK = 1024
"""Tokens over twice the number asked for, before a text is taken to have no end."""
_LONGEST = 1024
"""Characters of a token; the longest in any vocabulary in use are some hundred spaces."""


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
        elif isinstance(error, SystemExit):
            said = f"it wanted to exit with {error.code!r}"  # a row's code must not end the run, as done even
        elif isinstance(error, Exception):
            said = f"{type(error).__name__}: {error}"
        else:
            return
        raise PluginError(f"{self._origin} failed in {self._doing}: {said}{_where(error)}") from error


def _where(error: BaseException) -> str:
    """The line that raised it, for whoever has only the message."""
    frames = extract_tb(error.__traceback__)
    return f" (in {frames[-1].name}, {Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def cancelled() -> bool:
    """Whether the running task has been asked to stop."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def uncounted(who: object, characters: int) -> str:
    """What is to be said of a text without tokens; the conformance suite says it too."""
    return (
        f"{who} sent {characters:,} characters and no tokens (Chunk.tokens), by which limits and budgets go"
    )


class _Flood:
    """Finds a stream that never ends: more than was asked for, or nothing, without end."""

    __slots__ = ("_characters", "_empty", "_most", "_origin", "_tokens")

    def __init__(self, origin: Origin, most: int) -> None:
        self._origin = origin
        self._most = most
        self._tokens = self._characters = self._empty = 0

    def add(self, chunk: Chunk) -> None:
        """One more chunk. Raises `PluginError` where there are too many."""
        if chunk.text or chunk.tokens:
            self._empty = 0
            self._tokens += chunk.tokens
            self._characters += len(chunk.text)
            if not self._tokens and self._characters > _LONGEST:
                raise PluginError(uncounted(self._origin, self._characters))
            # An engine may count a little otherwise; what this finds has no end.
            most = 2 * self._most + _SLACK
            if self._tokens > most or self._characters > _LONGEST * most:
                raise PluginError(
                    f"{self._origin} does not end: {self._tokens:,} tokens, {self._characters:,} characters, "
                    f"where at most {self._most:,} tokens were asked for"
                )
        else:
            self._empty += 1
            if self._empty > _EMPTY:
                raise PluginError(f"{self._origin} does not end: {_EMPTY:,} empty chunks in a row")


async def stream(
    origin: Origin, backend: Backend, session: Session, request: Request
) -> AsyncGenerator[Chunk, None]:
    """What a session generates, behind the same door; closing it closes the session's stream.

    A stream that hangs or never ends costs only its reader: it is given up after
    `Capabilities.stall_seconds` without a chunk, or when it brings far more than was asked for; and the
    event loop gets its turn, however fast chunks come.

    Raises:
        BackendTimeout: no chunk came in time.
        PluginError: the plugin failed, or does not end.
    """
    door = plugin(origin, "generate")
    flood = _Flood(origin, request.turn.max_tokens or 0)
    with door:
        seconds = backend.capabilities.stall_seconds
        chunks = session.generate(request)
    stall = Stall() if seconds is not None else None
    count = 0
    try:
        while True:
            with door:
                try:
                    chunk = await (anext(chunks) if stall is None else stall.next(chunks, seconds or 0.0))
                except StopAsyncIteration:
                    return
                except Late:
                    raise BackendTimeout(f"{origin} sent nothing for {seconds:g} s") from None
                flood.add(chunk)
            yield chunk
            count += 1
            if count % _TURN == 0:
                await asyncio.sleep(0)
    finally:
        if stall is not None:
            stall.close()
        with door:
            await chunks.aclose()
