"""The workers of a run, as its own process sees them: dealt rows, taken over when they die."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tessy import errors
from tessy.errors import TessyError, TraceError, WorkerDied
from tessy.journal import Failure, Journal
from tessy.journal.entries import unpacked
from tessy.journal.records import TurnUsage
from tessy.limits import Limits
from tessy.observer import Observer
from tessy.workers.process import Process
from tessy.workers.recipe import Recipe, shares
from tessy.workers.tally import read_usage

__all__ = ["Fleet", "Order"]

log: logging.Logger = logging.getLogger(__name__)

_DEATHS = 3
"""Workers, for each that there is to be, that may die before the run ends."""
_STOPPING = 60.0
"""Seconds that workers may take to stop; their engines' streams are being aborted."""
_AHEAD = 8
"""Frames of a worker that may wait for their commit before no more is read from it."""


@dataclass(frozen=True)
class Order:
    """What workers need to know.

    Attributes:
        recipe: how they make their crew.
        journal: where they read rows.
        seed, limits: as `tessy.rowwriter.RowWriter` takes them.
        kv: tokens that the engines' memory holds, for all workers together.
    """

    recipe: Recipe
    journal: Path
    seed: int
    limits: Limits
    kv: Mapping[str, int]

    def share(self, workers: int) -> dict[str, Any]:
        """What one of so many is told."""
        return {
            "settings": self.recipe.settings,
            "journal": str(self.journal.absolute()),
            "seed": self.seed,
            "limits": asdict(self.limits),
            "kv": {engine: tokens // workers for engine, tokens in self.kv.items()},
        }


@dataclass(eq=False)
class _Slot:
    """A worker's place: whoever dies there is followed by another.

    Attributes:
        places: trajectories it may have at once.
        rows: dealt and not ended.
        keys: their names, as observers were told them.
        paused: of them wait for an engine's memory.
        queued: commits that its last frames wait for.
    """

    places: int
    process: Process | None = None
    rows: set[int] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    paused: int = 0
    queued: deque[Future[None]] = field(default_factory=deque)


class Fleet:
    """Writes rows with several worker processes.

    Args:
        order: what they need to know.
        journal: takes what they send; it is this process's.
        observer: told what happens, summed up (`Observer.progress`).
        spend: given all usage, summed up.
        workers: how many; at most ``concurrency``.
        concurrency: trajectories at once, of all together.
    """

    def __init__(
        self,
        order: Order,
        journal: Journal,
        observer: Observer,
        spend: Callable[[TurnUsage], None],
        *,
        workers: int,
        concurrency: int,
    ) -> None:
        workers = min(workers, concurrency)
        self._order = order.share(workers)
        self._journal = journal
        self._observer = observer
        self._spend = spend
        self._slots = [_Slot(places) for places in shares(concurrency, workers)]
        self._rows: deque[int] = deque()
        self._left = 0
        self._deaths = 0

    async def run(self, rows: Iterable[int]) -> None:
        """Return when all rows are written. Cancelled, workers stop as one process does.

        Raises:
            TessyError: what ends one worker ends the run, `BackendDown` say.
            WorkerDied: too many have died.
        """
        self._rows.extend(rows)
        self._left = len(self._rows)
        async with asyncio.TaskGroup() as group:
            for slot in self._slots:
                group.create_task(self._keep(slot))

    async def _keep(self, slot: _Slot) -> None:
        while self._left:
            slot.process = process = await Process.start({**self._order, "processes": self._watches(slot)})
            try:
                self._deal()
                await self._serve(slot, process)
            except asyncio.CancelledError:
                await self._stop(slot, process)
                raise
            except BaseException:
                process.kill()
                raise
            finally:
                slot.process = None
                how = await process.end()
            if self._left:
                await self._take_over(slot, f"worker {process.pid} {how}")

    def _watches(self, slot: _Slot) -> int | None:
        """How many there are, for the one that says if they are too few; rows are dealt evenly."""
        return len(self._slots) if slot is self._slots[0] else None

    async def _serve(self, slot: _Slot, process: Process) -> None:
        """Take what a worker sends until it is gone."""
        while (message := await process.receive()) is not None:
            self._take(slot, message)
            if len(slot.queued) > _AHEAD:
                await asyncio.wrap_future(slot.queued.popleft())

    async def _stop(self, slot: _Slot, process: Process) -> None:
        """Keep what it has still to say; the journal is flushed by whoever stops the run."""
        if not process.spoken:
            process.kill()
            return
        process.stop()
        try:
            async with asyncio.timeout(_STOPPING):
                await self._serve(slot, process)
        except TimeoutError:
            log.warning("worker %d does not stop; after %g s it is killed", process.pid, _STOPPING)
            process.kill()
        except TessyError:
            process.kill()  # why the run stops is being raised already

    async def _take_over(self, slot: _Slot, what: str) -> None:
        """Its rows go on from what the journal has of them."""
        self._deaths += 1
        if self._deaths > _DEATHS * len(self._slots):
            raise WorkerDied(
                f"{what}, the {self._deaths}th to end before its time: the run ends; what is committed "
                "stays, the same command goes on, and without --workers it shows what is wrong"
            )
        log.warning("%s; its %d rows go on from the journal", what, len(slot.rows))
        slot.queued.clear()
        await self._journal.flush()
        self._rows.extendleft(sorted(slot.rows, reverse=True))
        slot.rows.clear()
        for key in slot.keys:
            self._observer.left(key)
        slot.keys.clear()
        self._pause(slot, 0)
        self._deal()

    # --- rows -----------------------------------------------------------------------------------

    def _deal(self) -> None:
        """Rows to whoever has most places free; an end to all when none is left."""
        if not self._left:
            for slot in self._slots:
                if slot.process is not None:
                    slot.process.stop()
            return
        dealt: dict[_Slot, list[int]] = {}
        while self._rows:
            free = [slot for slot in self._slots if slot.process is not None and len(slot.rows) < slot.places]
            if not free:
                break
            slot = max(free, key=lambda one: one.places - len(one.rows))
            n = self._rows.popleft()
            slot.rows.add(n)
            dealt.setdefault(slot, []).append(n)
        for slot, rows in dealt.items():
            if slot.process is not None:
                slot.process.deal(rows)

    # --- what they say --------------------------------------------------------------------------

    def _take(self, slot: _Slot, message: Mapping[str, Any]) -> None:
        if "groups" in message:
            groups = [unpacked(group) for group in message["groups"]]
            slot.queued.append(self._journal.settled(groups))
            ended = [group.ended[0] for group in groups if group.ended is not None]
            slot.rows.difference_update(ended)
            self._left -= len(ended)
            if ended:
                self._deal()
        if "tally" in message:
            self._tell(slot, message["tally"])
        if "log" in message:
            name, level, text = message["log"]
            logging.getLogger(name).log(level, "%s", text)
        if "error" in message:
            raise _error(*message["error"])

    def _tell(self, slot: _Slot, tally: Mapping[str, Any]) -> None:
        observer = self._observer
        for what, key, *more in tally["rows"]:
            if what == "admitted":
                slot.keys.add(key)
                observer.admitted(key)
            elif what == "resumed":
                observer.resumed(key, *more)
        observer.progress(
            tally["kept"], tally["turns"], tally["switches"], read_usage(tally["usage"]), tally["grown"]
        )
        for what, key, *failure in tally["rows"]:
            if what == "finished":
                slot.keys.discard(key)
                observer.finished(key)
            elif what == "failed":
                slot.keys.discard(key)
                observer.failed(key, Failure(*failure))
        self._pause(slot, tally["paused"])
        for usage in read_usage(tally["spent"]):
            self._spend(usage)

    def _pause(self, slot: _Slot, count: int) -> None:
        if slot.paused != count:
            slot.paused = count
            self._observer.paused(sum(one.paused for one in self._slots))


def _error(name: str, message: str) -> TessyError:
    """The error that a worker has raised."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, TessyError) and not issubclass(kind, TraceError):
        return kind(message)
    return TessyError(f"a worker: {name}: {message}")
