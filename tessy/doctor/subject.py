"""A started backend under examination: asks it, times it, and keeps the books."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from tessy.abc import Backend, Capabilities, Session
from tessy.boundary import Origin, plugin, stream
from tessy.doctor.cost import TEMPLATE, Ask, Cost
from tessy.seeds import derive
from tessy.types import Chunk, Finish, Phase, Prompt, Request, Role, Span, Turn, Usage

__all__ = ["FOREIGN", "Reading", "Subject", "Talk"]

FOREIGN: Role = "foreign"
"""The author of what a model is asked to continue: nobody who takes part."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A turn as it came; times in seconds from the request."""

    text: str
    tokens: int
    first: float | None
    seconds: float
    finish: Finish | None


@dataclass
class Talk:
    """A session and what it has counted; ``booked`` is our own count, for engines that have none."""

    session: Session
    booked: Usage = field(default_factory=Usage)

    @property
    def counts(self) -> bool:
        """Whether the engine counts itself."""
        return self.session.usage() is not None

    @property
    def usage(self) -> Usage:
        """By the engine's count, or else by ours."""
        return self.session.usage() or self.booked


class Subject:
    """A started backend.

    Args:
        backend: started.
        origin: its package, for messages.
        role: whom it stands for.
        nonce: differs from one examination to the next, so that nothing of it is in a cache.
        clock: seconds.
    """

    def __init__(
        self, backend: Backend, origin: Origin, *, role: Role, nonce: str, clock: Callable[[], float]
    ) -> None:
        self.backend = backend
        self.origin = origin
        self.role = role
        self.nonce = nonce
        self.clock = clock
        with plugin(origin, "capabilities"):
            self.capabilities: Capabilities = backend.capabilities
        with plugin(origin, "row_format"):
            self.thinks: bool = any(backend.row_format())
        self.phase: Phase = "think" if self.thinks else "answer"
        self.shows_ids: bool | None = None
        """Whether its chunks carry token ids; ``None``: nothing has come yet."""
        with plugin(origin, "count_tokens"):
            self.counts_tokens: bool = backend.count_tokens("a") is not None
            """Whether `count` is the model's own count, or a bound."""
        self._template = TEMPLATE
        self._talks: list[Talk] = []

    @property
    def spent(self) -> Usage:
        """What all its sessions have counted so far."""
        return sum((talk.usage for talk in self._talks), Usage())

    def count(self, text: str) -> int:
        """At least as many tokens as ``text`` has; it must be plain English."""
        with plugin(self.origin, "count_tokens"):
            counted = self.backend.count_tokens(text)
        return len(text) // 2 + 1 if counted is None else counted

    def cost(self, *asks: Ask) -> Cost:
        """The most that these requests can take."""
        return sum((Cost(self._prompt(ask) + self._template, ask.max_tokens) for ask in asks), Cost())

    @asynccontextmanager
    async def talk(self, ask: Ask, key: str) -> AsyncIterator[Talk]:
        """A session of its own, closed at the end."""
        with plugin(self.origin, "session"):
            session = self.backend.session(Prompt.user(ask.question), f"doctor/{self.nonce}/{key}")
        talk = Talk(session)
        self._talks.append(talk)
        try:
            yield talk
        finally:
            with plugin(self.origin, "close"):
                await session.close()

    async def stream(self, talk: Talk, ask: Ask, seed: int = 0) -> AsyncGenerator[Chunk, None]:
        """The chunks of one turn; closing it closes the engine's stream."""
        before, prompt = talk.usage, self._prompt(ask)
        request = self._request(ask, seed)
        talk.booked += Usage(prompt=prompt, requests=1)
        try:
            async with aclosing(stream(self.origin, self.backend, talk.session, request)) as chunks:
                async for chunk in chunks:
                    talk.booked += Usage(generated=chunk.tokens)
                    if chunk.tokens:
                        self.shows_ids = chunk.ids is not None
                    yield chunk
        finally:
            if talk.counts:
                # What the template really takes, should it be more than was allowed for.
                self._template = max(self._template, talk.usage.prompt - before.prompt - prompt)

    async def read(self, talk: Talk, ask: Ask, seed: int = 0) -> Reading:
        """One turn to its end."""
        begin, first = self.clock(), None
        text, tokens, finish = "", 0, None
        async with aclosing(self.stream(talk, ask, seed)) as chunks:
            async for chunk in chunks:
                if first is None and (chunk.text or chunk.tokens):
                    first = self.clock() - begin
                text += chunk.text
                tokens += chunk.tokens
                finish = chunk.finish
        if finish == "end_of_thinking" and not text and not ask.begun:
            # It says that it thinks and does not: from now on it is asked for answers.
            self.phase = "answer"
        return Reading(text, tokens, first, self.clock() - begin, finish)

    async def ask(self, ask: Ask, key: str) -> Reading:
        """One turn in a session of its own."""
        async with self.talk(ask, key) as talk:
            return await self.read(talk, ask)

    def _prompt(self, ask: Ask) -> int:
        return self.count(ask.question) + (self.count(ask.begun) if ask.begun else 0)

    def _request(self, ask: Ask, seed: int) -> Request:
        phase = self.phase
        spans = [Span(FOREIGN, phase, ask.begun, 0, self.count(ask.begun))] if ask.begun else []
        turn = Turn(self.role, phase, max_tokens=ask.max_tokens)
        return Request(turn, spans, derive("doctor", self.nonce, seed), closed=phase == "answer")
