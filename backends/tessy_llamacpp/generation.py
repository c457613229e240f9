"""One generation: what the event loop asks of the engine thread, and the tokens on their way back."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from tessy.types import Finish, TokenLogprob
from tessy_llamacpp.sampling import Sampler
from tessy_llamacpp.slots import Slot

__all__ = ["Generation"]


@dataclass(eq=False)
class Generation:
    """A request to continue ``context``, or (``score`` > 0) to rate its last ``score`` tokens.

    The engine thread appends to ``fresh`` and, last of all, sets ``ended``; the event loop takes from
    the left. ``aborted`` is set by the loop and honoured at the engine's next step.
    """

    owner: object
    context: list[int]
    limit: int
    stops: frozenset[int]
    sampler: Sampler | None
    top: int = 0
    score: int = 0

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    fresh: deque[int] = field(default_factory=deque)
    logprobs: deque[TokenLogprob] = field(default_factory=deque)
    aborted: bool = False
    ended: bool = False
    finish: Finish | None = None
    error: Exception | None = None

    # The engine thread's own:
    slot: Slot | None = None
    at: int = 0
    """How many tokens of the context are decoded."""
    cached: int = 0
    generated: int = 0
    last: int | None = None
    """The token drawn last, to be decoded next."""

    def __post_init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """On the event loop: there is something to take."""
        self._woken.set()

    async def news(self) -> None:
        """Wait until there is something to take, or it has ended."""
        if not self.fresh and not self.ended:
            self._woken.clear()
            # The engine may have been faster than the line above.
            if not self.fresh and not self.ended:
                await self._woken.wait()

    async def over(self) -> None:
        """Wait until the engine is through with it."""
        while not self.ended:
            self._woken.clear()
            if not self.ended:
                await self._woken.wait()

    def take(self) -> list[int]:
        """The fresh tokens."""
        taken = []
        while self.fresh:
            taken.append(self.fresh.popleft())
        return taken

    def take_logprobs(self, count: int) -> list[TokenLogprob]:
        """The log-probabilities of as many tokens."""
        return [self.logprobs.popleft() for _ in range(count)]
