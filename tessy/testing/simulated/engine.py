"""The simulated engine: who is decoded when, on a clock that may run faster than the wall's."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tessy.testing.simulated.cache import Ids, Lease, PrefixCache
from tessy.testing.simulated.model import Speed

__all__ = ["Clock", "Engine", "Seat"]


class Clock:
    """Seconds of the model since the clock was made: ``scale`` of them pass in one second of the loop's."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self._origin = asyncio.get_running_loop().time()

    def now(self) -> float:
        """The time."""
        return (asyncio.get_running_loop().time() - self._origin) * self.scale

    async def until(self, time: float) -> None:
        """Sleep until then; yields in any case."""
        await asyncio.sleep(max(0.0, (time - self.now()) / self.scale))


@dataclass(slots=True)
class Seat:
    """A sequence in the engine.

    Attributes:
        admitted: when it left the queue.
        first, prefill: from there to its first token: what it takes in any case, and for its prompt and those
            that are read before it.
        written: its tokens so far; whoever reads `Engine.due` appends them.
    """

    admitted: float
    lease: Lease
    first: float
    prefill: float
    written: list[int] = field(default_factory=list)

    @property
    def cached(self) -> int:
        """Tokens of its prompt that were in the prefix cache."""
        return self.lease.cached


class Engine:
    """One engine: a queue, a batch, a prefix cache.

    A sequence waits until there is a seat and room in the cache for its prompt, first come, first served. A
    running one is never thrown out: it may grow beyond the cache's capacity.
    """

    def __init__(self, speed: Speed, cache: PrefixCache, clock: Clock) -> None:
        self.speed = speed
        self.cache = cache
        self.clock = clock
        self.running: int = 0
        self.decoding: int = 0
        self._read_until = 0.0
        self._queue: deque[tuple[asyncio.Future[Lease], Ids]] = deque()

    @property
    def waiting(self) -> int:
        """Sequences in the queue."""
        return len(self._queue)

    @asynccontextmanager
    async def seat(self, ids: Ids, first: float) -> AsyncIterator[Seat]:
        """A seat for a prompt, when there is one; ``first``: time to its first token if it is cached."""
        lease = await self._admitted(ids)
        seat = Seat(self.clock.now(), lease, first, self._prefill(len(ids) - lease.cached))
        try:
            yield seat
        finally:
            self.running -= 1
            self.cache.leave(lease, seat.written)
            self._call()

    def _prefill(self, tokens: int) -> float:
        """Seconds from now until so many tokens of a prompt are read; no abort shortens others' wait."""
        now = self.clock.now()
        self._read_until = max(now, self._read_until) + tokens / self.speed.prefill_all
        return max(tokens / self.speed.prefill, self._read_until - now)

    async def due(self, seat: Seat, wanted: int) -> AsyncGenerator[int, None]:
        """How many tokens come next, whenever some do: ``wanted`` in all.

        Each is due at a time of its own, so a loop that is late delays none of those that follow.
        """
        clock, speed = self.clock, self.speed
        time = seat.admitted + seat.first + seat.prefill
        await clock.until(time)
        self.decoding += 1
        try:
            given = 1
            self.cache.grow(seat.lease, 1)
            yield 1
            while given < wanted:
                time += speed.step(self.decoding)
                await clock.until(time)
                count, now = 1, clock.now()
                while given + count < wanted and (later := time + speed.step(self.decoding)) <= now:
                    time, count = later, count + 1
                given += count
                self.cache.grow(seat.lease, count)
                yield count
        finally:
            self.decoding -= 1

    async def _admitted(self, ids: Ids) -> Lease:
        turn: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self._queue.append((turn, ids))
        self._call()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.running -= 1
                self.cache.leave(turn.result(), ())
            self._call()
            raise

    def _call(self) -> None:
        """Let in who can come in."""
        while self._queue and self.running < self.speed.seats:
            turn, ids = self._queue[0]
            if not turn.done():
                lease = self.cache.enter(ids)
                if lease is None:
                    return
                self.running += 1
                turn.set_result(lease)
            self._queue.popleft()
