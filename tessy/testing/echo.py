"""A backend to learn from: it writes the words of the prompt back, once as thinking and once as answer.

It is complete: streams that can be closed, limits, continuation, its own count of what runs. It also lets a
text of one's own stream through a policy and a detector: what the prompt says becomes the trace.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import ClassVar

from pydantic import Field

from tessy.abc import Backend, Capabilities, Options, Session
from tessy.types import Chunk, Finish, Prompt, Request

__all__ = ["EchoBackend", "EchoOptions"]

_WORD = re.compile(r"\s*\S+")


class EchoOptions(Options):
    """Options of `EchoBackend`."""

    delay: float = Field(default=0.0, ge=0, description="seconds a word takes")


class EchoBackend(Backend):
    """Writes the prompt's last message; a word, with the white space before it, is a token."""

    Options: ClassVar[type[EchoOptions]] = EchoOptions
    options: EchoOptions

    def __init__(
        self, model: str = "echo", options: EchoOptions | None = None, *, url: str | None = None
    ) -> None:
        super().__init__(model, options or EchoOptions(), url=url)
        self.running: int = 0

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(continuation=True, seeds=True)

    def session(self, prompt: Prompt, key: str) -> Session:
        return _EchoSession(self, prompt)

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def active(self) -> int:
        return self.running


class _EchoSession(Session):
    def __init__(self, backend: EchoBackend, prompt: Prompt) -> None:
        self._backend = backend
        self._words = _WORD.findall(prompt.messages[-1].content if prompt.messages else "")

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        turn = request.turn
        # All that has been written is in the request, whoever wrote it: the next word follows.
        so_far = request.thinking if turn.phase == "think" else request.answer
        words = self._words[len(so_far.split()) :]
        finish: Finish = "end_of_thinking" if turn.phase == "think" else "end_of_turn"
        if turn.max_tokens is not None and turn.max_tokens < len(words):
            words, finish = words[: turn.max_tokens], "length"
        self._backend.running += 1
        try:
            for word in words:
                await asyncio.sleep(self._backend.options.delay)
                yield Chunk(word, tokens=1)
            yield Chunk(finish=finish)
        finally:  # also when the reader closes the stream: an engine would abort its work here
            self._backend.running -= 1
