"""What a policy may ask the models for while it prepares, reviews or selects (`tessy.abc.Context`)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from tessy.abc import Backend, Context, Session
from tessy.attempts import RETRIES, Attempts
from tessy.boundary import Origin, cancelled, plugin, stream
from tessy.draft import Draft
from tessy.errors import BackendError, ConfigError
from tessy.journal.records import TurnUsage
from tessy.journal.trace import TraceLog
from tessy.seeds import BLOCK, derive
from tessy.sessions import halted
from tessy.trajectory import Trajectory
from tessy.types import Chunk, Json, Message, Phase, Prompt, Reply, Request, Role, Scores, Span, Turn, Usage
from tessy.watchdog import Allowance

__all__ = ["Asking"]


class Asking(Context):
    """A `Context` over one trajectory. Seeds follow from the turn and the number of the question.

    A session takes one call at a time, so questions asked together are answered one after the other.

    Args:
        trajectory: the trace so far.
        backends, origins: by role; what they raise names them.
        sessions: the trajectory's own.
        log: where usage is booked.
        allowance: the policy's time, which stands still while a model is asked.
        longest: tokens that a model may write at most, thinking and answer each: a trace's own limit.
        phase: that of the draft under review, which may be the first of the answer; default: the trace's.
        retries: times a question is asked again when its backend was unavailable.
    """

    def __init__(
        self,
        trajectory: Trajectory,
        backends: Mapping[Role, Backend],
        origins: Mapping[Role, Origin],
        sessions: Mapping[Role, Session],
        log: TraceLog,
        allowance: Allowance | None = None,
        longest: int = 40_000,
        phase: Phase | None = None,
        retries: int = RETRIES,
    ) -> None:
        self.prompt: Prompt = trajectory.prompt
        self.trajectory: Trajectory = trajectory
        self.allowance: Allowance = allowance or Allowance()
        self._backends = backends
        self._origins = origins
        self._sessions = sessions
        self._log = log
        self._longest = longest
        self._phase: Phase = phase or trajectory.phase
        self._retries = retries
        self._asked = 0
        self._free: defaultdict[Session, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def seed(self) -> int:  # type: ignore[override]  # a fresh one for every question
        """The seed of the next question."""
        t = self.trajectory
        return derive(t.seed, t.row, t.sample, t.candidate, len(t.turns), t.attempt, "asked", self._asked)

    async def ask(
        self,
        role: Role,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        think: bool = False,
        top_logprobs: int = 0,
        sampling: Mapping[str, Json] | None = None,
        purpose: str = "judge",
    ) -> Reply:
        """See `Context.ask`."""
        backend, key = self._backend(role), f"{self.trajectory.row}/{purpose}"
        with plugin(self._origins[role], "session"):
            session = backend.session(Prompt(tuple(messages)), key)
        spans: list[Span] = []
        try:
            if think:
                thought = await self._read(
                    session, Turn(role, "think", sampling=sampling), (), False, purpose
                )
                if thought.finish != "end_of_thinking":
                    return Reply("", thought.text, thought.finish or "aborted")
                spans.append(thought.span(len(thought), 0))
            turn = Turn(role, "answer", max_tokens=max_tokens, top_logprobs=top_logprobs, sampling=sampling)
            answer = await self._read(session, turn, spans, think, purpose)
        finally:
            await session.close()
        thinking = "".join(span.text for span in spans)
        return Reply(answer.text, thinking, answer.finish or "aborted", tuple(answer.logprobs))

    async def draft(self, turn: Turn, *, purpose: str = "draft") -> Sequence[Chunk]:
        """See `Context.draft`."""
        chunks: list[Chunk] = []
        t = self.trajectory
        closed = t.closed or turn.phase == "answer"
        await self._read(self._session(turn.role), turn, t.spans, closed, purpose, chunks)
        return chunks

    async def score(self, role: Role, text: str, *, top: int = 0, purpose: str = "judge") -> Scores:
        """See `Context.score`."""
        session = self._session(role)
        t = self.trajectory
        request = self._request(Turn(role, self._phase), t.spans, t.closed or self._phase == "answer")
        attempts = Attempts(self._retries)
        with self.allowance.paused():
            async with self._free[session]:
                while True:
                    try:
                        return await self._score_once(session, request, text, top, purpose)
                    except BackendError as error:
                        if cancelled() or not attempts.again(error, answered=False):
                            raise

    async def _score_once(
        self, session: Session, request: Request, text: str, top: int, purpose: str
    ) -> Scores:
        account = _Account(session)
        try:
            with plugin(self._origins[request.turn.role], "score"):
                return await session.score(request, text, top=top)
        finally:
            self._book(request.turn.role, account.rest(0), purpose)

    async def _read(
        self,
        session: Session,
        turn: Turn,
        spans: Sequence[Span],
        closed: bool,
        purpose: str,
        chunks: list[Chunk] | None = None,
    ) -> Draft:
        """All that the model writes, as a draft; its chunks are appended to ``chunks``.

        An answer that breaks off is asked for again, as a turn is.
        """
        request = self._request(turn, spans, closed)
        with self.allowance.paused():
            async with self._free[session]:
                attempts = Attempts(self._retries)
                while True:
                    draft, arrived = Draft(turn), list[Chunk]()
                    try:
                        await self._read_once(session, request, purpose, draft, arrived)
                    except BackendError as error:
                        if cancelled() or not attempts.again(error, answered=len(draft) > 0):
                            raise
                    else:
                        if chunks is not None:
                            chunks += arrived
                            # A draft is only looked at: nobody reads on from its end.
                            cost = await halted(session, self._origins[turn.role])
                            if cost != Usage():
                                self._book(turn.role, cost, purpose)
                        return draft

    async def _read_once(
        self, session: Session, request: Request, purpose: str, draft: Draft, arrived: list[Chunk]
    ) -> None:
        role, account = request.turn.role, _Account(session)
        origin, backend = self._origins[role], self._backends[role]
        try:
            async with aclosing(stream(origin, backend, session, request)) as chunks:
                async for chunk in chunks:
                    draft.extend(chunk)
                    arrived.append(chunk)
                    if (piece := account.piece(draft.tokens)) is not None:
                        self._book(role, piece, purpose)
                    if chunk.finish is not None:
                        break
        finally:
            self._book(role, account.rest(draft.tokens), purpose)

    def _request(self, turn: Turn, spans: Sequence[Span], closed: bool) -> Request:
        most = self._longest if turn.max_tokens is None else min(turn.max_tokens, self._longest)
        request = Request(replace(turn, max_tokens=most), spans, self.seed, 0, closed)
        self._asked += 1
        return request

    def _book(self, role: Role, engine: Usage, purpose: str) -> None:
        usage = TurnUsage(role, engine, discarded=engine.generated, purpose=purpose)
        self._log.usage(len(self.trajectory.turns), usage)

    def _backend(self, role: Role) -> Backend:
        if role not in self._backends:
            raise ConfigError(f"the policy asked role {role!r}, which it did not declare in its needs")
        return self._backends[role]

    def _session(self, role: Role) -> Session:
        self._backend(role)
        return self._sessions[role]


class _Account:
    """What one request costs, booked as it grows: a budget must end it in its midst, as it ends a turn.

    Where the engine counts (`Session.usage`), its figures are what counts in the end.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before = session.usage()
        self._booked = 0

    def piece(self, read: int) -> Usage | None:
        """The tokens that have come since the last piece, once they are a block; ``read``: all so far."""
        new = read - self._booked
        if new < BLOCK:
            return None
        self._booked = read
        return Usage(generated=new)

    def rest(self, read: int) -> Usage:
        """What is not booked yet, the request being over."""
        now, before = self._session.usage(), self._before
        whole = Usage(generated=read, requests=1) if now is None or before is None else now - before
        return whole - Usage(generated=self._booked)
