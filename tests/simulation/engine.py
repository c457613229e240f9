"""A backend and a style detector that fail, hang and dawdle as a world and a life say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from tessy.abc import Backend, Capabilities, Options, Session
from tessy.errors import BackendDown, BackendRejected, BackendTimeout, BackendUnavailable
from tessy.testing import ScriptedDetector
from tessy.types import Chunk, Label, Prompt, Request, Usage, Window

from .script import token_id, tokens
from .world import ENGINE_POISONS

if TYPE_CHECKING:
    from .life import Life

__all__ = ["STALL", "Detector", "Engine"]

STALL = 30.0
"""Seconds without a chunk, after which the core gives a stream up."""


class Engine(Backend):
    """One model. What it writes follows from the world, how it comes from the life."""

    def __init__(self, model: str, life: Life) -> None:
        super().__init__(model, Options())
        self.life = life
        self.running = self.sessions = 0
        self.spent = Usage()
        """What all its sessions have cost."""

    async def start(self) -> None:
        await asyncio.sleep(self.life.chance.uniform(0, 0.01))

    @property
    def capabilities(self) -> Capabilities:
        world = self.life.world
        kv = world.kv if self.model == "student" and not self.life.calm else None
        ahead = world.ahead and not self.life.calm
        return Capabilities(seeds=True, vocabulary="words", kv_tokens=kv, stall_seconds=STALL, ahead=ahead)

    def session(self, prompt: Prompt, key: str) -> Session:
        return _Session(self, prompt, key)

    def count_tokens(self, text: str) -> int:
        return len(text.split())


class _Session(Session):
    def __init__(self, engine: Engine, prompt: Prompt, key: str) -> None:
        self._engine = engine
        self._prompt = "\n".join(message.content for message in prompt.messages)
        self._key = key
        self._row = key.split("/")[0]
        self._cost = Usage()
        self._failures = 0
        self._open = True
        self._busy = False
        engine.sessions += 1

    def _spend(self, usage: Usage) -> None:
        self._cost += usage
        self._engine.spent += usage
        self._engine.life.generated(usage.generated)

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        engine, life = self._engine, self._engine.life
        world = life.world
        script, finish = tokens(request, engine.model, self._prompt, world.think, world.answer)
        poison = life.poison(self._row)
        begun = sum(span.tokens for span in request.spans)
        fails = life.fails(self._failures)
        self._spend(Usage(prompt=begun, requests=1))
        assert not self._busy, "a session was called again before its stream was closed"
        self._busy = True
        engine.running += 1
        life.began()
        try:
            await asyncio.sleep(life.pause())
            left = request.turn.max_tokens
            ahead = _pieces(script, life)
            piece = next(ahead, [])
            while True:
                if poison is not None and poison.kind in ENGINE_POISONS and begun + len(piece) > poison.after:
                    async for chunk in _poisoned(poison.kind):
                        self._spend(Usage(generated=chunk.tokens))
                        yield chunk
                    return
                if fails is not None and fails[0] <= 0:
                    self._failures += 1
                    await _fail(fails[1])
                following = next(ahead, [])
                ends = None if following else finish
                if left is not None and (len(piece) > left or (len(piece) == left and following)):
                    piece, ends = piece[:left], "length"
                left = None if left is None else left - len(piece)
                self._spend(Usage(generated=len(piece)))
                begun += len(piece)
                if ends is not None and life.apart():
                    yield _chunk(piece)
                    piece = []
                yield Chunk(finish=ends) if not piece and ends else _chunk(piece, ends)
                if ends is not None:
                    self._failures = 0
                    return
                if fails is not None:
                    fails = (fails[0] - len(piece), fails[1])
                piece = following
                await asyncio.sleep(life.pause())
        finally:
            self._busy = False
            engine.running -= 1
            life.ended()

    def usage(self) -> Usage | None:
        return self._cost if self._engine.life.world.counts else None

    async def close(self) -> None:
        if self._open:
            self._open = False
            self._engine.sessions -= 1
            # A task group cancels its tasks in the order of their addresses: this must not depend on it.
            await asyncio.sleep(self._engine.life.pause_of(self._key))


def _pieces(words: Iterator[str], life: Life) -> Iterator[list[str]]:
    while piece := list(islice(words, life.chunk())):
        yield piece


def _chunk(piece: Sequence[str], finish: str | None = None) -> Chunk:
    offsets, at = [], 0
    for text in piece:
        offsets.append(at)
        at += len(text)
    return Chunk("".join(piece), len(piece), tuple(map(token_id, piece)), tuple(offsets), finish=finish)  # type: ignore[arg-type]


async def _fail(how: str) -> None:
    if how == "stalls":
        await asyncio.sleep(3 * STALL)
    elif how == "down":
        raise BackendDown("simulated: out of service")
    raise BackendTimeout("simulated: late") if how == "late" else BackendUnavailable("simulated: busy")


async def _poisoned(kind: str) -> AsyncGenerator[Chunk, None]:
    if kind == "raises":
        raise ZeroDivisionError("simulated: a bug of the plugin's")
    if kind == "refuses":
        raise BackendRejected("simulated: no")
    if kind == "cancels":
        raise asyncio.CancelledError
    if kind == "hangs":
        await asyncio.sleep(3600)
    if kind == "surrogates":
        yield _chunk([" bad \ud83d"])
    while kind == "endless":
        yield _chunk([" on"] * 200)
    while kind == "mute":
        yield Chunk()


class Detector(ScriptedDetector):
    """Labels late, and for poisoned rows not at all."""

    def __init__(self, life: Life) -> None:
        super().__init__()
        self.life = life
        self._calls = 0

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        assert self._calls == 0, "the detector was called again before it had returned"
        self._calls += 1
        try:
            for window in windows:
                poison = self.life.poison(window.key)
                if poison is None or len(window.text) <= 3 * poison.after:
                    continue
                if poison.kind == "label raises":
                    raise ZeroDivisionError("simulated: a bug of the detector's")
                if poison.kind == "label hangs":
                    await asyncio.sleep(3600)
                if poison.kind == "label lies":
                    return [[Label(0, 1 << 30, True)] if w is window else self._one(w) for w in windows]
            if (pause := self.life.pause()) > 0.01:
                await asyncio.sleep(pause)
            return await super().label(windows)
        finally:
            self._calls -= 1

    def guess(self, window: Window) -> list[Label]:
        """What is true, or all of it wrong, or nothing."""
        poison = self.life.poison(window.key)
        if poison is not None and poison.kind == "guess raises" and len(window.text) > 3 * poison.after:
            raise ZeroDivisionError("simulated: a bug of the detector's")
        how = self.life.guesses()
        if how == "nothing":
            return []
        true = self._one(replace(window, final=True))
        return true if how == "true" else [replace(label, style=not label.style) for label in true]
