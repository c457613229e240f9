"""What a policy may ask the models for while it prepares or reviews (`tessy.abc.Context`)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import aclosing

from tessy.abc import Backend, Context, Session
from tessy.errors import ConfigError
from tessy.journal.journal import TraceLog
from tessy.journal.records import TurnUsage
from tessy.seeds import derive
from tessy.trajectory import Trajectory
from tessy.types import Chunk, Message, Prompt, Request, Role, Scores, Turn, Usage

__all__ = ["Asking"]


class Asking(Context):
    """A `Context` over one trajectory. Seeds follow from the turn and the number of the question.

    A session takes one call at a time, so questions asked together are answered one after the other.
    """

    def __init__(
        self,
        trajectory: Trajectory,
        backends: Mapping[Role, Backend],
        sessions: Mapping[Role, Session],
        log: TraceLog,
    ) -> None:
        self.prompt = trajectory.prompt
        self._trajectory = trajectory
        self._backends = backends
        self._sessions = sessions
        self._log = log
        self._asked = 0
        self._free: defaultdict[Session, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def seed(self) -> int:  # type: ignore[override]  # a fresh one for every question
        """The seed of the next question."""
        t = self._trajectory
        return derive(t.seed, t.row, t.sample, t.candidate, len(t.turns), t.attempt, "asked", self._asked)

    async def ask(
        self,
        role: Role,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        purpose: str = "judge",
    ) -> str:
        """See `Context.ask`."""
        session = self._backend(role).session(Prompt(tuple(messages)), f"{self._trajectory.row}/{purpose}")
        try:
            chunks = await self._read(session, Turn(role, "answer", max_tokens=max_tokens), (), purpose)
        finally:
            await session.close()
        return "".join(chunk.text for chunk in chunks)

    async def draft(self, turn: Turn, *, purpose: str = "draft") -> Sequence[Chunk]:
        """See `Context.draft`."""
        return await self._read(self._session(turn.role), turn, self._trajectory.spans, purpose)

    async def score(self, role: Role, text: str, *, top: int = 0, purpose: str = "judge") -> Scores:
        """See `Context.score`."""
        session = self._session(role)
        request = self._request(Turn(role, self._trajectory.phase), self._trajectory.spans)
        async with self._free[session]:
            before = session.usage()
            scores = await session.score(request, text, top=top)
            self._book(role, session, before, 0, purpose)
        return scores

    async def _read(
        self, session: Session, turn: Turn, spans: Sequence[object], purpose: str
    ) -> Sequence[Chunk]:
        chunks: list[Chunk] = []
        request = self._request(turn, self._trajectory.spans if spans else ())
        async with self._free[session]:
            before = session.usage()
            try:
                async with aclosing(session.generate(request)) as stream:
                    async for chunk in stream:
                        chunks.append(chunk)
                        if chunk.finish is not None:
                            break
            finally:
                self._book(turn.role, session, before, sum(chunk.tokens for chunk in chunks), purpose)
        return chunks

    def _request(self, turn: Turn, spans: Sequence[object]) -> Request:
        closed = bool(spans) and self._trajectory.closed
        request = Request(turn, self._trajectory.spans if spans else (), self.seed, 0, closed)
        self._asked += 1
        return request

    def _book(self, role: Role, session: Session, before: Usage | None, read: int, purpose: str) -> None:
        now = session.usage()
        engine = Usage(generated=read, requests=1) if now is None or before is None else now - before
        usage = TurnUsage(role, engine, discarded=engine.generated, purpose=purpose)
        self._log.usage(len(self._trajectory.turns), usage)

    def _backend(self, role: Role) -> Backend:
        if role not in self._backends:
            raise ConfigError(f"the policy asked role {role!r}, which it did not declare in its needs")
        return self._backends[role]

    def _session(self, role: Role) -> Session:
        self._backend(role)
        return self._sessions[role]
