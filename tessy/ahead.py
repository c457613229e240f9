"""Asks the next model while the last words of a turn settle: its first token then comes as the cut is sure.

A detector is sure of a word when it has seen what follows; what it would say at once (`StyleDetector.guess`)
is right nine times in ten. Policies are pure functions, so the core can ask one what it would do if that
held: where it would cut, and who would go on. That model is asked at once. If the turn ends so, its stream is
the next turn's; if not, it is given up, booked as discarded, and nobody has seen a word of it. The text is
the same either way, byte for byte. Figures: docs/performance/handover.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tessy.abc import Backend, Session
from tessy.booking import Booking
from tessy.boundary import Origin, plugin, stream
from tessy.crew import Crew
from tessy.draft import Draft
from tessy.journal.records import TurnUsage
from tessy.limits import Limits
from tessy.track import Track
from tessy.trajectory import Trajectory
from tessy.turns import conclude, left, request, room
from tessy.types import Chunk, Cut, Request, Role, Span, Turn
from tessy.watchdog import Watchdog

__all__ = ["Ahead", "Flight"]

log: logging.Logger = logging.getLogger(__name__)

_FALSE = 0.08
"""Requests for nothing, of all that were asked ahead: with more, waiting is cheaper."""
_FIRST = 2
"""So many are allowed before there is a share to speak of."""


@dataclass(slots=True, eq=False)
class Flight:
    """A request that was made for a turn that has not begun.

    Attributes:
        cut: where the turn before it must be cut for it to be the right one.
        span: what must be kept of that turn; ``None``: nothing.
        request: what was asked for.
        booking: the turn's account, open since before the request.
        chunks: the stream.
        first: its first chunk, waited for in a task of its own. The others are read by whoever goes on.
    """

    cut: Cut
    span: Span | None
    request: Request
    booking: Booking
    chunks: AsyncGenerator[Chunk, None]
    first: asyncio.Task[Chunk]

    def fits(self, wanted: Request) -> bool:
        """Whether it asks for the same, behind the same text."""
        mine = self.request
        if len(wanted.spans) != len(mine.spans) or wanted.uncommitted:
            return False
        if self.span is not None and _plain(wanted.spans[-1]) != _plain(self.span):
            return False
        return replace(wanted, spans=()) == replace(mine, spans=(), uncommitted=0)

    async def stream(self) -> AsyncGenerator[Chunk, None]:
        """All its chunks, as from the session itself."""
        try:
            try:
                yield await self.first
            except StopAsyncIteration:
                return
            async for chunk in self.chunks:
                yield chunk
        finally:
            await self.close()

    async def close(self) -> None:
        """Abort it, however far it has come. Idempotent."""
        if not self.first.done():
            self.first.cancel()
            await asyncio.wait([self.first])
        if not self.first.cancelled():
            self.first.exception()  # looked at: who was to read it has gone
        await self.chunks.aclose()


class Ahead:
    """What one trajectory has asked for ahead: one request at most.

    Args:
        book: takes what a request that was given up has cost.
    """

    def __init__(
        self,
        trajectory: Trajectory,
        crew: Crew,
        *,
        sessions: Mapping[Role, Session],
        track: Track | None,
        limits: Limits,
        watchdog: Watchdog,
        count: Callable[[Span], int],
        book: Callable[[TurnUsage], None],
    ) -> None:
        self._trajectory = trajectory
        self._policy = crew.policy
        self._origin = crew.policy_origin
        self._backends = crew.backends
        self._origins = crew.origins
        self._sessions = sessions
        self._limits = limits
        self._watchdog = watchdog
        self._count = count
        self._book = book
        self._track = track if track is not None and track.guesses else None
        self._able = _able(crew.backends, crew.origins) if self._track is not None else frozenset()
        self._flight: Flight | None = None
        self._right = self._wrong = 0

    @property
    def able(self) -> bool:
        """Whether anything can be asked ahead at all."""
        return bool(self._able)

    def look(self, draft: Draft) -> Coroutine[Any, Any, None] | None:
        """The draft has grown and is not cut: ask ahead if it is about to be, or take that back.

        To take back is what is to be awaited for, at once.

        Raises:
            PluginError: the detector failed.
        """
        if not self._able or self._track is None or (labels := self._track.guess(draft)) is None:
            return None
        if not labels:
            return None if self._flight is None else self.drop()
        guessed = draft.guessed(labels)
        cut = self._cut(guessed)
        if self._flight is None:
            self._ask(guessed, cut)
            return None
        return None if cut == self._flight.cut else self._ask_again(guessed, cut)

    async def land(self, draft: Draft) -> Flight | None:
        """The request for the turn of which ``draft`` is the beginning, if it has been made already."""
        flight = self._flight
        if flight is None:
            return None
        if flight.fits(self._request(self._trajectory, draft)):
            self._flight = None
            self._right += 1
            return flight
        await self.drop()
        return None

    async def drop(self) -> None:
        """Give up what was asked for, if anything: it is paid for, and nothing else comes of it."""
        flight, self._flight = self._flight, None
        if flight is None:
            return
        self._wrong += 1
        try:
            await flight.close()
        except Exception as error:  # nobody will read it: it is no row's fault
            log.debug("%s: a request made ahead", self._origin, exc_info=error)
        finally:
            try:
                usage = flight.booking.abandoned(Draft(flight.request.turn))
                self._book(usage)
            except Exception as error:  # as in `Writer`: of what is being raised already it is a consequence
                log.debug("%s: a request made ahead is not booked", self._origin, exc_info=error)

    def _cut(self, guessed: Draft) -> Cut | None:
        """Where the policy would cut if the guess held."""
        try:
            with plugin(self._origin, "watch"):
                cut = self._watchdog.call(self._policy.watch, guessed)
        except Exception as error:
            self._no_more(error)
            return None
        # What breaks the contract is said when it is meant.
        if not isinstance(cut, Cut) or not isinstance(cut.at, int):
            return None
        return cut if guessed.committed <= cut.at < guessed.settled else None

    async def _ask_again(self, guessed: Draft, cut: Cut | None) -> None:
        await self.drop()
        self._ask(guessed, cut)

    def _ask(self, guessed: Draft, cut: Cut | None) -> None:
        """Ask who would go on if the draft were cut there, where guesses are worth it."""
        if cut is None or self._wrong > _FIRST + _FALSE * self._right:
            return
        try:
            self._flight = self._begun(guessed, cut)
        except Exception as error:
            self._no_more(error)

    def _no_more(self, error: Exception) -> None:
        # What fails when it is meant says so then; of a guess no row may die.
        log.debug("%s: nothing more is asked ahead", self._origin, exc_info=error)
        self._able = frozenset()

    def _begun(self, guessed: Draft, cut: Cut) -> Flight | None:
        trajectory = self._trajectory
        kept = conclude(guessed, cut, len(trajectory.turns))
        tokens = 0 if kept.span is None else self._count(kept.span)
        then = trajectory.and_then(kept.span, kept.record, tokens)
        with plugin(self._origin, "next_turn"):
            turn = self._watchdog.call(self._policy.next_turn, then)
        # One call of a session at a time: whoever writes now cannot be asked.
        if not isinstance(turn, Turn) or turn.role not in self._able or turn.role == guessed.role:
            return None
        # In another phase, what closes the thinking would stand before its end.
        if turn.phase != guessed.phase or room(then, self._limits, self._count) <= 0:
            return None
        draft = Draft(turn)
        wanted = replace(self._request(then, draft), uncommitted=int(kept.span is not None))
        session = self._sessions[turn.role]
        booking = Booking(session, draft)
        chunks = stream(self._origins[turn.role], self._backends[turn.role], session, wanted)
        first = asyncio.create_task(_first(chunks))
        return Flight(cut, kept.span, wanted, booking, chunks, first)

    def _request(self, trajectory: Trajectory, draft: Draft) -> Request:
        return request(trajectory, draft, left(draft, room(trajectory, self._limits, self._count)))


async def _first(chunks: AsyncGenerator[Chunk, None]) -> Chunk:
    return await anext(chunks)


def _able(backends: Mapping[Role, Backend], origins: Mapping[Role, Origin]) -> frozenset[Role]:
    """The roles that may be asked ahead; those whose requests get limits of the core's own may not."""
    found = set()
    for role, backend in backends.items():
        with plugin(origins[role], "capabilities"):
            if backend.capabilities.ahead and not backend.capabilities.capped:
                found.add(role)
    return frozenset(found)


def _plain(span: Span) -> Any:
    """A span but for its kind, which is counted from labels and tells the next model nothing."""
    return replace(span, kind=None)
