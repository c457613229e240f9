"""Keeps the active trajectories within the engines' KV memory, so that prefixes last between their turns.

An engine whose memory is too small evicts what waits for its next turn, and computes it again: with plain
limits on requests the throughput collapses exactly where traces grow long. So every trajectory has an account
of its tokens. The oldest go on, whatever the sum; between turns the youngest wait while it is too large; and
a new one enters only if those under way will have room to grow. This changes when text is written, not what.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

__all__ = ["Admission", "Seat", "peak"]

Sizes: TypeAlias = Mapping[str, int]
"""Tokens by engine."""

_USABLE = 0.9
"""Share of an engine's memory to plan with: aborted drafts and half-filled blocks take the rest."""
_TURN = 64
"""Tokens that a turn may add before its trajectory can wait again."""


class Seat:
    """One active trajectory's account."""

    def __init__(self, admission: Admission) -> None:
        self.sizes: dict[str, int] = {}
        self.waits: asyncio.Event | None = None
        self._admission = admission

    async def turn(self, sizes: Sizes, free: Callable[[], Awaitable[None]] | None = None) -> None:
        """Return when the next turn may begin.

        Args:
            sizes: what the trajectory holds now.
            free: called if it must wait: gives back what others may be waiting for.
        """
        await self._admission.turn(self, sizes, free)

    def need(self, engine: str) -> int:
        """Tokens it has and may have at the end of a turn."""
        return self.sizes.get(engine, 0) + _TURN


class Admission:
    """The accounts of a run.

    Args:
        budgets: tokens that fit into each engine's memory; engines that are not named have no bound.
        paused: told how many trajectories wait between turns, whenever that changes.
    """

    def __init__(self, budgets: Sizes, paused: Callable[[int], None] = lambda count: None) -> None:
        self._budgets = {engine: int(tokens * _USABLE) for engine, tokens in budgets.items()}
        self._told = paused
        # In the order in which they were admitted: the oldest first.
        self._seats: dict[Seat, None] = {}
        self._queue: deque[asyncio.Future[Seat]] = deque()
        self._sums = dict.fromkeys(self._budgets, 0)
        self._finals = dict.fromkeys(self._budgets, 0)
        self._ended = 0
        self.paused: int = 0
        """Trajectories that wait between turns."""

    @property
    def engines(self) -> Sequence[str]:
        """Those with a budget."""
        return tuple(self._budgets)

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[Seat]:
        """Wait for room for one trajectory more, first come first served; it has it until the block ends."""
        seat = await self._enter()
        try:
            yield seat
        except BaseException:
            self._leave(seat)
            raise
        else:
            self._ended += 1
            for engine in self._budgets:
                self._finals[engine] += seat.sizes.get(engine, 0)
            self._leave(seat)

    async def turn(self, seat: Seat, sizes: Sizes, free: Callable[[], Awaitable[None]] | None = None) -> None:
        """See `Seat.turn`."""
        shrunk = self._resize(seat, sizes)
        if shrunk:  # its next candidate begins anew
            self._wake()
        if not self._budgets or self._fits(seat):
            return
        if free is not None:
            await free()
            if self._fits(seat):  # others have gone on meanwhile
                return
        seat.waits = asyncio.Event()
        self._count(1)
        try:
            await seat.waits.wait()
        finally:
            seat.waits = None
            self._count(-1)

    # --- who goes on ----------------------------------------------------------------------------

    def _resize(self, seat: Seat, sizes: Sizes) -> bool:
        shrunk = False
        for engine in self._budgets:
            change = sizes.get(engine, 0) - seat.sizes.get(engine, 0)
            shrunk = shrunk or change < 0
            seat.sizes[engine] = seat.sizes.get(engine, 0) + change
            self._sums[engine] += change
        return shrunk

    def _fits(self, seat: Seat) -> bool:
        reserve = _TURN * len(self._seats)
        if all(self._sums[engine] + reserve <= budget for engine, budget in self._budgets.items()):
            return True
        return any(other is seat for other in self._going())

    def _going(self) -> Sequence[Seat]:
        """The oldest that fit together; the very oldest in any case, or nobody could ever end."""
        left = dict(self._budgets)
        going: list[Seat] = []
        for seat in self._seats:
            for engine in left:
                left[engine] -= seat.need(engine)
            if going and any(tokens < 0 for tokens in left.values()):
                break
            going.append(seat)
        return going

    def _wake(self) -> None:
        for seat in self._going():
            if seat.waits is not None:
                seat.waits.set()

    def _count(self, change: int) -> None:
        self.paused += change
        self._told(self.paused)

    # --- who comes and goes ---------------------------------------------------------------------

    async def _enter(self) -> Seat:
        if not self._queue and self._room():
            return self._sit()
        place: asyncio.Future[Seat] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave(place.result())  # it came in the same moment
            elif place in self._queue:
                self._queue.remove(place)
            raise

    def _sit(self) -> Seat:
        seat = Seat(self)
        self._seats[seat] = None
        return seat

    def _leave(self, seat: Seat) -> None:
        self._resize(seat, {})
        del self._seats[seat]
        self._wake()
        while self._queue and self._room():
            place = self._queue.popleft()
            if not place.done():
                place.set_result(self._sit())

    def _room(self) -> bool:
        """Whether one more would still fit when those under way are at their largest together."""
        if not self._seats:
            return True
        for engine, budget in self._budgets.items():
            expected = self._finals[engine] // self._ended if self._ended else 0
            sizes = [seat.sizes.get(engine, 0) for seat in self._seats]
            if peak([*sizes, 0], expected) > budget:
                return False
        return True


def peak(sizes: Sequence[int], final: int) -> int:
    """Tokens that trajectories of these sizes will hold at most, if all grow alike and end at ``final``.

    One that is longer already is taken to end after one turn more.
    """
    most = total = 0
    count = len(sizes)
    # The largest ends first; up to then every other one has grown by what it lacked.
    ends = sorted((max(final - size, _TURN), size) for size in sizes)
    total = sum(size for _, size in ends)
    for grown, size in ends:
        most = max(most, total + grown * count)
        total -= size
        count -= 1
    return most
