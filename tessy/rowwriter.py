"""One row from the journal's state to its end: finished, or failed with a typed reason."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tessy.abc import SwitchPolicy
from tessy.admission import Admission, Seat
from tessy.asking import Asking
from tessy.boundary import cancelled, plugin
from tessy.crew import Crew
from tessy.errors import BackendDown, PluginError, TessyError, TraceError
from tessy.journal import Failure, Job, Store
from tessy.journal.trace import Sink, TraceLog
from tessy.limits import Limits
from tessy.observer import Observer
from tessy.sessions import Sessions
from tessy.trajectory import Trajectory
from tessy.types import Prepared, Selected
from tessy.watchdog import Allowance, Watchdog
from tessy.writer import Gate, Writer

__all__ = ["RowWriter"]

log: logging.Logger = logging.getLogger(__name__)


class RowWriter:
    """Writes rows; what goes wrong with one is recorded as that row's failure and goes no further.

    ``room``, if given, is awaited before each turn: where what is queued may have to wait.
    """

    def __init__(
        self,
        crew: Crew,
        journal: Sink,
        store: Store,
        *,
        seed: int,
        limits: Limits,
        observer: Observer,
        admission: Admission | None = None,
        room: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._crew = crew
        self._journal = journal
        self._store = store
        self._seed = seed
        self._limits = limits
        self._observer = observer
        self._admission = admission or Admission({})
        self._room = room
        self._prepares = type(crew.policy).prepare is not SwitchPolicy.prepare
        self._watchdog = Watchdog(limits.blocking_seconds)
        self._watchdog.start()
        if crew.detection is not None:
            crew.detection.watchdog = self._watchdog

    def close(self) -> None:
        """Nothing more is written. Idempotent."""
        self._watchdog.close()

    async def write(self, n: int) -> None:
        """Bring row ``n`` to its end. Cancelled, it leaves what is committed for the next time.

        Raises:
            BackendDown: a backend is out of service, which ends the run.
        """
        async with self._admission.seat() as seat:
            await self._write_row(n, seat)

    async def _write_row(self, n: int, seat: Seat) -> None:
        row = Row(self._store.job(n), self._store, self._journal, self._seed, seat)
        self._observer.admitted(row.key)
        try:
            await self._write(row)
        except BackendDown:
            # No row's fault: all of them stay as they are, and the run ends.
            raise
        except Exception as error:
            if cancelled():  # what is raised while a stream is aborted is no row's failure
                raise asyncio.CancelledError from error
            failure = _failure(row, error)
            row.log.fail(failure)
            self._observer.failed(row.key, failure)
        else:
            row.log.finish()
            self._observer.finished(row.key)

    async def _write(self, row: Row) -> None:
        if row.prepared is None and self._prepares:
            row.prepared = await self._prepare(row)
        count = self._candidates()
        if count == 1:
            await self._write_one(row)
        elif row.selected is None:
            await self._select(row, await self._write_all(row, count))

    async def _write_one(self, row: Row) -> None:
        """The candidate that ``row`` stands at, to its end."""
        crew = self._crew
        trajectory = row.trajectory
        if tokens := sum(span.tokens for span in trajectory.spans):
            self._observer.resumed(row.key, tokens)
        sessions = Sessions(crew.backends, crew.origins, trajectory.prompt, row.prepared, row.key)
        track = crew.detection.track(row.key, trajectory.prompt) if crew.detection is not None else None
        try:
            writer = Writer(
                trajectory,
                crew,
                sessions=sessions,
                track=track,
                log=row.log,
                key=row.key,
                observer=self._observer,
                limits=self._limits,
                watchdog=self._watchdog,
                gate=self._gate(row),
            )
            await writer.write()
        finally:
            try:
                if track is not None:
                    track.close()
            finally:
                await sessions.close()

    def _gate(self, row: Row) -> Gate | None:
        """Where a writer waits between turns; ``None`` where nothing is bounded."""
        engines, room = self._admission.engines, self._room
        if not engines and room is None:
            return None
        crew, trajectory, seat = self._crew, row.trajectory, row.seat
        text = "\n".join(message.content for message in trajectory.prompt.messages)
        prompts: dict[str, int] = {}
        for role in engines:
            with plugin(crew.origins[role], "count_tokens"):
                counted = crew.backends[role].count_tokens(text)
            prompts[role] = len(text) // 4 if counted is None else counted

        async def gate(free: Callable[[], Awaitable[None]]) -> None:
            if room is not None:
                await room()
            await seat.turn({role: prompt + trajectory.length for role, prompt in prompts.items()}, free)

        return gate

    # --- several candidates ---------------------------------------------------------------------

    def _candidates(self) -> int:
        origin = self._crew.policy_origin
        with plugin(origin, "candidates"):
            count = self._watchdog.call(lambda: self._crew.policy.candidates)
        if not isinstance(count, int) or count < 1:
            raise PluginError(f"{origin}: candidates must be a number from 1, it is {count!r:.80}")
        return count

    async def _write_all(self, row: Row, count: int) -> list[Trajectory]:
        """One after the other: a row takes one place, and what they share is cached by then.

        Raises:
            TessyError: not one could be finished; the first one's failure.
        """
        given_up = self._store.given_up(row.job.n, row.job.attempt)
        finished: list[Trajectory] = []
        first: tuple[Exception, Trajectory] | None = None
        for candidate in range(count):
            row.stand_at(candidate)
            if candidate in given_up:
                continue
            try:
                await self._write_one(row)
            except BackendDown:
                raise
            except Exception as error:
                if cancelled():
                    raise asyncio.CancelledError from error
                row.log.give_up(_failure(row, error))
                first = first or (error, row.trajectory)
            else:
                finished.append(row.trajectory)
        if finished:
            return finished
        # The same one, whichever of them an earlier process has given up.
        if first is not None and first[1].candidate < min(given_up, default=count):
            why, row.trajectory = first
            raise why
        candidate, failure = min(given_up.items())
        row.stand_at(candidate)
        raise TraceError(failure.reason, failure.message)

    async def _select(self, row: Row, trajectories: list[Trajectory]) -> None:
        crew = self._crew
        # Questions are about the prompt alone: the trace so far is empty.
        row.stand_at(max(t.candidate for t in trajectories) + 1)
        try:
            with plugin(crew.policy_origin, "select"):
                async with self._asking(row, "select") as (asking, allowance), allowance.spend():
                    selected = await self._watchdog.steps(crew.policy.select(trajectories, asking))
        finally:
            # A row of which nothing could be selected fails with the text of its first candidate.
            row.trajectory = trajectories[0]
        numbers = [t.candidate for t in trajectories]
        if not isinstance(selected, Selected) or selected.candidate not in numbers:
            raise PluginError(
                f"{crew.policy_origin}: select returned {selected!r:.80}, no Selected of the finished "
                f"candidates {', '.join(map(str, numbers))}"
            )
        with plugin(crew.policy_origin, "select"):
            row.log.select(selected)

    # --- before the first turn ------------------------------------------------------------------

    async def _prepare(self, row: Row) -> Prepared:
        crew = self._crew
        with plugin(crew.policy_origin, "prepare"):
            async with self._asking(row, "prepare") as (asking, allowance), allowance.spend():
                prepared = await self._watchdog.steps(crew.policy.prepare(row.job.prompt, asking))
            if not isinstance(prepared, Prepared):
                raise TypeError(f"{prepared!r:.80} is not Prepared")
            row.log.prepared(prepared)
        return prepared

    @asynccontextmanager
    async def _asking(self, row: Row, what: str) -> AsyncIterator[tuple[Asking, Allowance]]:
        crew = self._crew
        trajectory = row.trajectory
        sessions = Sessions(crew.backends, crew.origins, trajectory.prompt, row.prepared, f"{row.key}/{what}")
        allowance = Allowance(self._limits.policy_seconds)
        try:
            asking = Asking(
                trajectory,
                crew.backends,
                crew.origins,
                sessions,
                row.log,
                allowance,
                self._limits.max_length,
                retries=self._limits.retries,
            )
            yield asking, allowance
        finally:
            await sessions.close()


class Row:
    """A row under way: the candidate it stands at, with what the journal holds of it.

    Attributes:
        job: the row as the journal has it.
        seat: its account of the engines' memory.
        key: its name for observers and caches.
        prepared: what the policy prepared, ``None`` before that.
        selected: which candidate was chosen, if one is.
        trajectory, log: of the candidate that it stands at, the first to begin with.
    """

    def __init__(self, job: Job, store: Store, journal: Sink, seed: int, seat: Seat) -> None:
        self.job = job
        self.seat = seat
        self.key: str = f"{job.row}#{job.sample}"
        self._store = store
        self._journal = journal
        self._seed = seed
        self._prepared = store.prepared(job.n)
        self.selected: Selected | None = store.selected(job.n)
        self.stand_at(0)

    @property
    def prepared(self) -> Prepared | None:
        return self._prepared

    @prepared.setter
    def prepared(self, prepared: Prepared) -> None:
        self._prepared = self.trajectory.prepared = prepared

    def stand_at(self, candidate: int) -> None:
        """Go to a candidate, new or begun."""
        job = self.job
        self.trajectory: Trajectory = Trajectory(
            job.prompt,
            row=job.row,
            sample=job.sample,
            candidate=candidate,
            attempt=job.attempt,
            seed=self._seed,
            prepared=self._prepared,
            spans=self._store.spans(job.n, candidate),
            turns=self._store.turns(job.n, candidate),
        )
        self.log: TraceLog = self._journal.trace(job.n, candidate, job.attempt, len(self.trajectory.spans))


def _failure(row: Row, error: Exception) -> Failure:
    """Why the candidate that ``row`` stands at could not be finished, with what was written."""
    if isinstance(error, TessyError):
        reason, message = error.reason, str(error)
        if not isinstance(reason, str) or not reason:  # a policy's own
            reason = PluginError.reason
        log.debug("row %s", row.key, exc_info=error)
    else:  # a bug of ours must not take the other trajectories with it
        log.error("row %s", row.key, exc_info=error)
        reason, message = "internal", f"{type(error).__name__}: {error}"
    # A message may quote what a plugin said, and that need not be text.
    message = message.encode("utf-8", "backslashreplace").decode()
    trajectory = row.trajectory
    return Failure(reason, message, trajectory.thinking, trajectory.answer, len(trajectory.turns))
