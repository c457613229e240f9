"""Writes one trajectory: the paper's algorithm (TESSY, arXiv 2604.14164, section 3), for any policy.

::

    until the policy is done:
        turn   = policy.next_turn(trajectory)
        draft  = what its model streams, until it ends or the policy cuts it
        kept   = the draft up to the cut, moved to a place that is safe for both tokenizers
        commit   the kept text, then the turn
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TypeAlias, get_args

import orjson

from tessy.abc import Session, SwitchPolicy
from tessy.ahead import Ahead, Flight
from tessy.asking import Asking
from tessy.attempts import Attempts
from tessy.booking import Booking
from tessy.boundary import cancelled, plugin, stream
from tessy.caps import Caps, capped, learn
from tessy.crew import Crew
from tessy.draft import Draft
from tessy.errors import BackendError, PluginError, TraceError
from tessy.journal.records import TurnUsage
from tessy.journal.trace import TraceLog
from tessy.limits import Limits
from tessy.observer import Observer
from tessy.runaway import Runaway
from tessy.seeds import BLOCK
from tessy.sessions import halted
from tessy.stops import find_stop
from tessy.track import Track
from tessy.trajectory import Trajectory
from tessy.turns import conclude, fault, left, request, room
from tessy.types import Chunk, Cut, Done, Finish, Keep, Request, Role, Span, Turn, Usage
from tessy.watchdog import Allowance, Watchdog

__all__ = ["Gate", "Writer"]

log: logging.Logger = logging.getLogger(__name__)

Gate: TypeAlias = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
_FINISHES: tuple[str, ...] = get_args(Finish)
_STUCK = 64
"""Tokens: a request for that many that brings no text has come to an end of the engine's own."""


class Writer:
    """One trajectory, from where the journal has it to its end.

    Raises whatever ends the trajectory: a `TessyError`. Cancelling `write` aborts the stream in flight;
    what is committed stays. ``watchdog`` bounds the policy's synchronous code;
    ``gate`` is awaited before each turn, and given what to call before it waits long.
    """

    def __init__(
        self,
        trajectory: Trajectory,
        crew: Crew,
        *,
        sessions: Mapping[Role, Session],
        track: Track | None,
        log: TraceLog,
        key: str,
        observer: Observer,
        limits: Limits,
        watchdog: Watchdog | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._trajectory = trajectory
        self._policy = policy = crew.policy
        self._origin = crew.policy_origin
        self._backends = backends = crew.backends
        self._origins = origins = crew.origins
        self._sessions = sessions
        self._track = track
        self._log = log
        self._key = key
        self._observer = observer
        self._limits = limits
        self._watchdog = watchdog or Watchdog()
        self._gate = gate
        self._wrote: tuple[Role, int] | None = None
        self._ahead = Ahead(
            trajectory,
            crew,
            sessions=sessions,
            track=track,
            limits=limits,
            watchdog=self._watchdog,
            count=self._count,
            book=self._book,
        )
        self._watches = type(policy).watch is not SwitchPolicy.watch
        self._watch_door = plugin(self._origin, "watch")
        self._capped = capped(backends, origins) if self._watches else frozenset()
        trajectory.length = sum(map(self._count, trajectory.spans))
        if track is not None:
            track.commit(trajectory.thinking)
        self._runaway = Runaway(limits.repetition, trajectory.spans)

    async def write(self) -> None:
        """Turn after turn until the policy is done."""
        try:
            while (turn := self._next_turn()) is not None:
                if self._wrote is not None and turn.role != self._wrote[0]:
                    await self._halt()
                if self._gate is not None:
                    # What is asked ahead has a place at its engine, and those who may go on may want it.
                    await self._gate(self._ahead.drop)
                draft, booking, cut = await self._stream(turn)
                try:
                    verdict = cut if cut is not None else await self._review(draft)
                except BaseException:
                    self._abandon(draft, booking)
                    raise
                self._commit(draft, booking, verdict)
                await asyncio.sleep(0)  # a stream that never waits would keep the loop to itself
        finally:
            try:
                await self._ahead.drop()
            finally:
                await self._halt()

    async def _halt(self) -> None:
        """Whoever wrote last is not asked to go on: what it still writes is for nobody, and is paid for."""
        wrote, self._wrote = self._wrote, None
        if wrote is None:
            return
        role, n = wrote
        try:
            cost = await halted(self._sessions[role], self._origins[role])
            if cost != Usage():
                self._book(TurnUsage(role, cost, discarded=cost.generated), n)
        except Exception as error:  # as in `_abandon`
            log.debug("row %s: what its %s wrote on is not booked", self._key, role, exc_info=error)

    # --- who writes next ------------------------------------------------------------------------

    def _next_turn(self) -> Turn | None:
        trajectory = self._trajectory
        if self._runaway.found is not None:
            raise TraceError("repetition", self._runaway.found)
        with plugin(self._origin, "next_turn"):
            turn = self._watchdog.call(self._policy.next_turn, trajectory)
        if isinstance(turn, Done):
            if trajectory.phase == "think" and trajectory.ended == "end_of_turn":
                raise TraceError("ended_in_thinking", "the model ended its turn inside the thinking")
            if trajectory.last is None or trajectory.last.phase != "answer":
                raise PluginError(f"{self._origin}: next_turn returned Done before any turn of the answer")
            return None
        if not isinstance(turn, Turn):
            raise PluginError(f"{self._origin}: next_turn returned {turn!r}, neither a Turn nor Done")
        if turn.role not in self._sessions:
            raise PluginError(
                f"{self._origin}: next_turn wants role {turn.role!r}; "
                f"its roles are {', '.join(self._sessions)}"
            )
        written = trajectory.spans[-1].phase if trajectory.spans else "think"
        if turn.phase not in ("think", "answer") or (turn.phase, written) == ("think", "answer"):
            raise PluginError(
                f"{self._origin}: next_turn wants phase {turn.phase!r}; there are 'think' and 'answer', "
                "and no thinking once an answer is begun"
            )
        if (wrong := fault(turn)) is not None:
            raise PluginError(f"{self._origin}: next_turn wants {wrong}")
        if room(trajectory, self._limits, self._count) <= 0:
            raise TraceError("length", f"the trace reached its limit of {self._limits.max_length} tokens")
        idle = self._limits.empty_turns
        if len(trajectory.turns) >= idle and not any(t.kept for t in trajectory.turns[-idle:]):
            raise TraceError("no_progress", f"{self._origin}: {idle} turns in a row kept nothing")
        return turn

    # --- what its model streams -----------------------------------------------------------------

    async def _stream(self, turn: Turn) -> tuple[Draft, Booking, Cut | None]:
        """The draft of one turn, asked for again if its backend was unavailable for a moment."""
        session = self._sessions[turn.role]
        self._wrote = turn.role, len(self._trajectory.turns)
        draft = Draft(turn, self._trajectory.begun())
        flight = await self._ahead.land(draft)
        booking = Booking(session, draft) if flight is None else flight.booking
        attempts = Attempts(self._limits.retries)
        while True:
            try:
                return draft, booking, await self._read(session, draft, booking, flight)
            except BackendError as error:
                if cancelled() or not attempts.again(error, answered=len(draft) > draft.committed):
                    self._abandon(draft, booking)
                    raise
                booking.lost(draft)
                draft, flight = Draft(turn, self._trajectory.begun()), None
            except BaseException:
                self._abandon(draft, booking)
                raise

    def _abandon(self, draft: Draft, booking: Booking) -> None:
        """Book what a turn has cost that ends without a commit: it is paid for, whatever ended it."""
        try:
            self._book(booking.abandoned(draft))
        except Exception as error:  # of what is being raised already this is no more than a consequence
            log.debug("row %s: its last draft is not booked", self._key, exc_info=error)

    def _book(self, usage: TurnUsage, turn: int | None = None) -> None:
        """What has cost something and is not committed; ``turn``: if not the one that is being written."""
        self._log.usage(len(self._trajectory.turns) if turn is None else turn, usage)
        self._observer.spent(self._key, usage)

    async def _read(
        self, session: Session, draft: Draft, booking: Booking, flight: Flight | None
    ) -> Cut | None:
        """What one request brings, or several where the core limits each (`Capabilities.capped`)."""
        if flight is not None:
            return await self._read_one(flight.stream(), flight.request, draft, booking)
        caps, role = self._caps(draft.turn), draft.role
        while True:
            most = all_ = left(draft, room(self._trajectory, self._limits, self._count))
            if caps is not None:
                most = min(all_, caps.room(draft.tokens))
            wanted = request(self._trajectory, draft, most, more=most < all_)
            chunks = stream(self._origins[role], self._backends[role], session, wanted)
            cut = await self._read_one(chunks, wanted, draft, booking)
            if cut is not None or not draft.paused:
                return cut
            assert caps is not None
            caps.reached()
            booking.again()

    async def _read_one(
        self, chunks: AsyncGenerator[Chunk, None], wanted: Request, draft: Draft, booking: Booking
    ) -> Cut | None:
        turn = draft.turn
        seen, before = draft.settled, len(draft)
        door = plugin(self._origins[turn.role], "generate")
        looks = self._ahead.able and turn.phase == "think"
        async with aclosing(chunks):
            async for chunk in chunks:
                with door:
                    _check(chunk)
                    draft.extend(chunk)
                if turn.stop and (stop := find_stop(draft, turn.stop, len(chunk.text))) is not None:
                    draft.end_at(stop)
                if (loop := self._runaway.find(draft)) is not None:
                    draft.end_at(loop, "length")
                elif wanted.more and draft.finish == "length" and self._goes_on(draft, wanted, before):
                    draft.pause()
                if self._track is None or turn.phase != "think":
                    draft.settled = len(draft)  # without a detector text settles as it arrives
                elif (rest := self._track.take(draft)) is not None:
                    await rest
                if draft.settled > seen or draft.finish is not None:
                    seen = draft.settled
                    if (cut := self._watch(draft)) is not None:
                        return cut
                    draft.passed = draft.settled
                    if turn.checkpoint:
                        self._checkpoint(draft, booking)
                if draft.finish is not None or draft.paused:
                    break
                if looks and (back := self._ahead.look(draft)) is not None:
                    await back
        if draft.finish is None and not draft.paused:
            raise BackendError(f"{self._origins[turn.role]}: the stream ended without saying why")
        return None

    def _caps(self, turn: Turn) -> Caps | None:
        """Only thinking is cut while it streams."""
        if turn.role not in self._capped or turn.phase != "think":
            return None
        lookahead = self._track.lookahead if self._track is not None else 0
        return learn(self._trajectory.turns, turn.role, lookahead)

    def _goes_on(self, draft: Draft, request: Request, before: int) -> bool:
        """Whether a length is the core's own, and no end that the engine will come to again."""
        return len(draft) > before or (request.turn.max_tokens or 0) < _STUCK

    # --- where it is cut ------------------------------------------------------------------------

    def _watch(self, draft: Draft) -> Cut | None:
        if not self._watches:
            return None
        with self._watch_door:
            cut = self._watchdog.call(self._policy.watch, draft)
        return None if cut is None else self._check(cut, draft)

    async def _review(self, draft: Draft) -> Keep | Cut:
        await self._ahead.drop()  # it ended otherwise; and the policy may ask that model
        allowance = Allowance(self._limits.policy_seconds)
        asking = Asking(
            self._trajectory,
            self._backends,
            self._origins,
            self._sessions,
            self._log,
            allowance,
            self._limits.max_length,
            draft.phase,
            self._limits.retries,
        )
        with plugin(self._origin, "review"):
            async with allowance.spend():
                verdict = await self._watchdog.steps(self._policy.review(draft, asking))
        if isinstance(verdict, Keep):
            return verdict
        return self._check(verdict, draft)

    def _check(self, cut: Cut, draft: Draft) -> Cut:
        limit = len(draft) if draft.finish is not None else draft.settled
        if not isinstance(cut, Cut) or not isinstance(cut.at, int) or not draft.committed <= cut.at <= limit:
            raise PluginError(
                f"{self._origin}: {cut!r} is no Cut between {draft.committed} and {limit}, "
                "the part of the draft that may be decided about"
            )
        return cut

    # --- what is committed ----------------------------------------------------------------------

    def _checkpoint(self, draft: Draft, booking: Booking, within: int | None = None) -> None:
        """Commit whole blocks of a long turn, exactly at their last token."""
        while (end := draft.block_end(BLOCK, within)) is not None:
            span = draft.span(end, len(self._trajectory.turns), labels=True)
            usage = booking.piece(draft, end)
            with plugin(self._origins[draft.role], "generate"):
                self._log.commit(span.turn, span, usage=usage)
            self._observer.spent(self._key, usage)
            self._append(draft, span, end)

    def _commit(self, draft: Draft, booking: Booking, verdict: Keep | Cut) -> None:
        """Commit what is left of the turn, and the turn itself."""
        trajectory = self._trajectory
        with plugin(self._origin, "its note"):
            orjson.dumps(verdict.note)
        if draft.turn.checkpoint and draft.offsets:
            # Smaller chunks would have shown these blocks before the cut; how chunks come must not matter.
            self._checkpoint(draft, booking, verdict.at if isinstance(verdict, Cut) else len(draft))
        n = len(trajectory.turns)
        kept = conclude(draft, verdict, n)
        usage = booking.rest(draft, kept.at)
        with plugin(self._origins[draft.role], "generate"):
            self._log.commit(n, kept.span, kept.record, usage)
        if kept.span is not None:
            self._append(draft, kept.span, kept.at)
        trajectory.turns.append(kept.record)
        self._observer.spent(self._key, usage)
        self._observer.turn(self._key, kept.record)

    def _append(self, draft: Draft, span: Span, end: int) -> None:
        trajectory = self._trajectory
        draft.commit(end)
        trajectory.spans.append(span)
        trajectory.length += self._count(span)
        self._runaway.commit(draft, span, end)
        if self._track is not None and span.phase == "think":
            self._track.commit(span.text)
        self._observer.committed(self._key, span)

    def _count(self, span: Span) -> int:
        """A span's length in the student's tokens, where there is a student that can count them."""
        student = self._backends.get("student")
        if student is None or span.author == "student":
            return span.tokens
        with plugin(self._origins["student"], "count_tokens"):
            counted = student.count_tokens(span.text)
        return span.tokens if counted is None else counted


def _check(chunk: Chunk) -> None:
    """Refuse what could be neither journaled nor exported (lone surrogates), or would spoil the accounts."""
    text, tokens = chunk.text, chunk.tokens
    if not isinstance(text, str) or not isinstance(tokens, int) or tokens < 0:
        raise TypeError(f"a chunk has text {text!r:.40} and {tokens!r} tokens")
    if chunk.finish is not None and chunk.finish not in _FINISHES:
        raise ValueError(f"a chunk has finish={chunk.finish!r}; there are {', '.join(_FINISHES)}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BackendError(f"the backend sent text that is not Unicode: {error}") from error
