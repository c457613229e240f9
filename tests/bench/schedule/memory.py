"""Traces on engines with little KV memory, in virtual time: the run's own admission, the simulated engines.

Only the client between them is played, and takes no time.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from bench.schedule.traces import Part, Trace
from tessy.admission import Admission
from tessy.admission import Seat as Place
from tessy.scheduler import Scheduler
from tessy.testing.clock import run_virtual
from tessy.testing.simulated import Speed
from tessy.testing.simulated.cache import Ids, PrefixCache
from tessy.testing.simulated.engine import Clock, Engine

__all__ = ["Taken", "within"]

_PROMPT = 64
"""Tokens of a prompt."""
_ROLES = ("teacher", "student")


@dataclass(slots=True)
class Taken:
    """What it took: the model's seconds, tokens of all prompts, and of these what was not cached.

    Attributes:
        least: what had not been seen before, and must be computed in any case.
        written: tokens written.
        active, paused: trajectories under way and of these those that waited for room, on average over time.
    """

    seconds: float = 0.0
    prompt: int = 0
    computed: int = 0
    least: int = 0
    written: int = 0
    active: float = 0.0
    paused: float = 0.0

    @property
    def hits(self) -> float:
        """Share of what could have been cached that was."""
        return (self.prompt - self.computed) / max(1, self.prompt - self.least)


def within(
    traces: Sequence[Trace],
    speed: Speed,
    slots: int,
    capacity: int | None,
    *,
    bounded: bool,
    lookahead: int = 0,
) -> Taken:
    """Write all, ``slots`` at a time, on engines of that memory; ``bounded``: admission keeps within it."""

    async def write() -> Taken:
        return await _Run(speed, capacity, bounded, lookahead).write(traces, slots)

    return run_virtual(write())


class _Run:
    def __init__(self, speed: Speed, capacity: int | None, bounded: bool, lookahead: int) -> None:
        clock = Clock()
        self._engines = {role: Engine(speed, PrefixCache(capacity), clock) for role in _ROLES}
        budgets = dict.fromkeys(_ROLES, capacity) if bounded and capacity is not None else {}
        self._admission = Admission(budgets, self._pauses)
        self._lookahead = lookahead
        self._taken = Taken()
        self._paused, self._since = 0, 0.0

    async def write(self, traces: Sequence[Trace], slots: int) -> Taken:
        await Scheduler(self._write, slots).run(enumerate(traces))
        taken = self._taken
        taken.seconds = asyncio.get_running_loop().time()
        taken.active /= taken.seconds
        taken.paused /= taken.seconds
        return taken

    def _pauses(self, count: int) -> None:
        now = asyncio.get_running_loop().time()
        self._taken.paused += self._paused * (now - self._since)
        self._paused, self._since = count, now

    async def _write(self, numbered: tuple[int, Trace]) -> None:
        number, trace = numbered
        async with self._admission.seat() as place:
            began = asyncio.get_running_loop().time()
            await self._parts(number, trace, place)
            self._taken.active += asyncio.get_running_loop().time() - began

    async def _parts(self, number: int, trace: Trace, place: Place) -> None:
        taken = self._taken
        ids = _ids(number, 0, _PROMPT)
        seen: dict[str, int] = dict.fromkeys(_ROLES, 0)
        for part in trace.parts:
            await place.turn(dict.fromkeys(_ROLES, len(ids)))
            taken.prompt += len(ids)
            taken.least += len(ids) - seen[part.role]
            cached = await self._part(number, part, ids)  # others count meanwhile
            taken.computed += len(ids) - cached
            ids += _ids(number, len(ids), part.tokens)
            seen[part.role] = len(ids)

    async def _part(self, number: int, part: Part, ids: Ids) -> int:
        """Write it; the tokens of its prompt that were cached."""
        ahead = 0 if part.closes else self._lookahead
        coming = _ids(number, len(ids), part.tokens) + _ids(~number, len(ids), ahead)
        engine = self._engines[part.role]
        async with engine.seat(ids, part.first) as seat, aclosing(engine.due(seat, len(coming))) as due:
            async for count in due:
                written = len(seat.written)
                seat.written.extend(coming[written : written + count])
        self._taken.written += len(coming)
        return seat.cached


def _ids(number: int, begin: int, count: int) -> Ids:
    """Tokens of a trace: no two traces have any in common."""
    first = (number & 0xFFFF) << 16
    return array("I", range(first + begin, first + begin + count))
