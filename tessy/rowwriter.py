"""One row from the journal's state to its end: finished, or failed with a typed reason."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from tessy.abc import Backend, SwitchPolicy
from tessy.asking import Asking
from tessy.boundary import Origin, plugin
from tessy.detection import Detection
from tessy.errors import BackendDown, TessyError
from tessy.journal import Failure, Job, Journal, Store
from tessy.journal.journal import TraceLog
from tessy.observer import Observer
from tessy.sessions import Sessions
from tessy.trajectory import Trajectory
from tessy.types import Prepared, Role
from tessy.writer import Limits, Writer

__all__ = ["Crew", "RowWriter"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Crew:
    """Who takes part: the policy, the backends by role, the detector if labels are needed."""

    policy: SwitchPolicy
    policy_origin: Origin
    backends: Mapping[Role, Backend]
    origins: Mapping[Role, Origin]
    detection: Detection | None = None


class RowWriter:
    """Writes rows; what goes wrong with one is recorded as that row's failure and goes no further."""

    def __init__(
        self, crew: Crew, journal: Journal, store: Store, *, seed: int, limits: Limits, observer: Observer
    ) -> None:
        self._crew = crew
        self._journal = journal
        self._store = store
        self._seed = seed
        self._limits = limits
        self._observer = observer
        self._prepares = type(crew.policy).prepare is not SwitchPolicy.prepare

    async def write(self, n: int) -> None:
        """Bring row ``n`` to its end. Cancelled, it leaves what is committed for the next time.

        Raises:
            BackendDown: a backend is out of service, which ends the run.
        """
        job = self._store.job(n)
        trajectory = self._load(job)
        key = f"{job.row}#{job.sample}"
        trace = self._journal.trace(n, 0, job.attempt, len(trajectory.spans))
        self._observer.admitted(key)
        try:
            await self._write(job, trajectory, trace, key)
        except BackendDown:
            # No row's fault: all of them stay as they are, and the run ends.
            raise
        except TessyError as error:
            self._fail(trajectory, trace, key, Failure(error.reason, str(error)))
        except Exception as error:  # a bug of ours must not take the other trajectories with it
            log.exception("row %s", key)
            self._fail(trajectory, trace, key, Failure("internal", f"{type(error).__name__}: {error}"))
        else:
            trace.finish()
            self._observer.finished(key)

    def _load(self, job: Job) -> Trajectory:
        return Trajectory(
            job.prompt,
            row=job.row,
            sample=job.sample,
            attempt=job.attempt,
            seed=self._seed,
            prepared=self._store.prepared(job.n),
            spans=self._store.spans(job.n),
            turns=self._store.turns(job.n),
        )

    async def _write(self, job: Job, trajectory: Trajectory, trace: TraceLog, key: str) -> None:
        crew = self._crew
        prepared = trajectory.prepared
        if prepared is None and self._prepares:
            prepared = trajectory.prepared = await self._prepare(trajectory, trace, key)
        sessions = Sessions(crew.backends, crew.origins, job.prompt, prepared, key)
        track = crew.detection.track(key) if crew.detection is not None else None
        try:
            writer = Writer(
                trajectory,
                policy=crew.policy,
                policy_origin=crew.policy_origin,
                backends=crew.backends,
                origins=crew.origins,
                sessions=sessions,
                track=track,
                log=trace,
                key=key,
                observer=self._observer,
                limits=self._limits,
            )
            await writer.write()
        finally:
            await sessions.close()
            if track is not None:
                track.close()

    async def _prepare(self, trajectory: Trajectory, trace: TraceLog, key: str) -> Prepared:
        crew = self._crew
        sessions = Sessions(crew.backends, crew.origins, trajectory.prompt, None, f"{key}/prepare")
        try:
            with plugin(crew.policy_origin, "prepare"):
                asking = Asking(trajectory, crew.backends, sessions, trace)
                prepared = await crew.policy.prepare(trajectory.prompt, asking)
                if not isinstance(prepared, Prepared):
                    raise TypeError(f"{prepared!r:.80} is not Prepared")
                trace.prepared(prepared)
        finally:
            await sessions.close()
        return prepared

    def _fail(self, trajectory: Trajectory, trace: TraceLog, key: str, why: Failure) -> None:
        # A message may quote what a plugin said, and that need not be text.
        message = why.message.encode("utf-8", "backslashreplace").decode()
        failure = Failure(why.reason, message, trajectory.thinking, trajectory.answer, len(trajectory.turns))
        trace.fail(failure)
        self._observer.failed(key, failure)
