"""Two models in turn, with spans of lengths that a seed decides: the same work for whoever does it.

Spans are log-normal (σ 0.6) with means of 5 tokens (style, by the student) and 20 (capability, by the
teacher). They are written as parts of an answer by formats that nothing ends, so that every span has exactly
the length it is to have, whatever the model writes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from tessy.abc import Backend
from tessy.types import Prompt, Request, Span, Turn

__all__ = ["Trace", "at_once", "script", "write"]

_MEANS = {"student": 5.0, "teacher": 20.0}
_SIGMA = 0.6


@dataclass(frozen=True)
class Trace:
    """One trajectory: its question, and ``(role, tokens)`` of each span."""

    key: str
    question: str
    spans: Sequence[tuple[str, int]]

    @property
    def tokens(self) -> int:
        """All that are to be generated."""
        return sum(length for _, length in self.spans)


def script(count: int, spans: int, seed: int = 0) -> list[Trace]:
    """``count`` traces of ``spans`` spans each."""
    rng = random.Random(seed)
    roles = tuple(_MEANS)
    return [
        Trace(
            f"{seed}-{i}",
            f"What is {rng.randint(10, 99)} + {rng.randint(10, 99)} - {rng.randint(10, 99)}?",
            [(roles[k % 2], _length(rng, _MEANS[roles[k % 2]])) for k in range(spans)],
        )
        for i in range(count)
    ]


def _length(rng: random.Random, mean: float) -> int:
    return max(1, round(mean * rng.lognormvariate(-_SIGMA * _SIGMA / 2, _SIGMA)))


async def at_once(traces: Sequence[Trace], limit: int, one: Callable[[Trace, int], Awaitable[None]]) -> None:
    """Write all traces, ``limit`` at once; ``one`` also gets the place, below ``limit``, that it has."""
    waiting = list(reversed(traces))

    async def place(number: int) -> None:
        while waiting:
            await one(waiting.pop(), number)

    async with asyncio.TaskGroup() as group:
        for number in range(limit):
            group.create_task(place(number))


async def write(backends: Mapping[str, Backend], trace: Trace) -> None:
    """One trace through the backends' sessions, read chunk by chunk."""
    sessions = {
        role: backend.session(Prompt.user(trace.question), trace.key) for role, backend in backends.items()
    }
    written: list[Span] = []
    try:
        for turn, (role, length) in enumerate(trace.spans):
            request = Request(Turn(role, "answer", length), written, turn)
            text, ids = [], []
            async with aclosing(sessions[role].generate(request)) as stream:
                async for chunk in stream:
                    text.append(chunk.text)
                    ids += chunk.ids or ()
            whole = "".join(text)
            written.append(Span(role, "answer", whole, turn, len(ids), tuple(ids), len(whole)))
    finally:
        for session in sessions.values():
            await session.close()
