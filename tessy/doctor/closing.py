"""Does closing a stream stop the generation, or does the engine go on and charge for it?"""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from tessy.boundary import plugin
from tessy.doctor.check import Check
from tessy.doctor.cost import Ask, Cost
from tessy.doctor.finding import Finding, Status
from tessy.doctor.subject import Subject
from tessy.types import Usage

__all__ = ["GOES_ON", "Closing"]

GOES_ON = "goes on generating"
"""The verdict on an engine that does not stop."""

_STATUS: dict[str, Status] = {"stops": "ok", GOES_ON: "bad"}
_ASK = Ask("Tell a long story about a lighthouse keeper, year by year.", max_tokens=512)
_ENOUGH = 3
_MOST = 16
_PATIENCE = 5.0
_PAUSE = 0.1


class Closing(Check):
    """Reads the beginning of a long generation, closes the stream, and asks the engine what it is doing."""

    name = "closing a stream"

    def cost(self, subject: Subject) -> Cost:
        return subject.cost(_ASK)

    async def run(self, subject: Subject) -> Finding:
        before = await _active(subject)
        async with subject.talk(_ASK, self.name) as talk:
            begin = subject.clock()
            during, chunks, tokens, over = before, 0, 0, False
            async with aclosing(subject.stream(talk, _ASK)) as stream:
                async for chunk in stream:
                    chunks += 1
                    tokens += chunk.tokens
                    over = chunk.finish is not None
                    if before is not None and (during or 0) <= before:
                        during = await _active(subject)
                    seen = before is None or (during or 0) > before
                    if chunks >= _MOST or (chunks >= _ENOUGH and seen):
                        break
                closed = subject.clock()
            after = await _settled(subject, before or 0) if before is not None else None
            took = subject.clock() - closed
            counted = talk.usage if talk.counts else None
        figures = {
            "active_before": before,
            "active_during": during,
            "active_after": after,
            "stop_ms": None if after is None else round(1000 * took, 1),
            "tokens_read": tokens,
            "tokens_generated": None if counted is None else counted.generated,
            "tokens_asked": _ASK.max_tokens,
        }
        if over:
            verdict, why = "unsure", "the model had ended before the stream was closed"
        elif before is None or during is None or after is None:
            verdict, why = "unsure", f"the engine does not say{_count(counted)}"
        else:
            # Had it gone on, it would have needed this long.
            rest = (_ASK.max_tokens - tokens) * (closed - begin) / max(1, tokens)
            verdict, why = _judge(before, during, after, took, rest)
        status: Status = _STATUS.get(verdict, "unsure")
        return Finding(self.name, status, f"{verdict}: {why}", verdict, figures=figures)


def _judge(before: int, during: int, after: int, took: float, rest: float) -> tuple[str, str]:
    """Verdict and reason, from what the engine said it works on."""
    if after > before:
        return (
            GOES_ON,
            f"{took:.1f} s after the stream was closed the engine still works on {after}",
        )
    if before:
        return "unsure", f"the engine was busy with {before} before anything was asked"
    if during <= before:
        return "unsure", "the engine never showed the generation"
    if took > rest / 2:
        return "unsure", f"the engine was idle {took:.1f} s later, but may have come to the end"
    return "stops", f"the engine was idle {1000 * took:.0f} ms later"


def _count(counted: Usage | None) -> str:
    if counted is None:
        return ""
    return f"; it counted {counted.generated:,} of the {_ASK.max_tokens:,} tokens asked for"


async def _settled(subject: Subject, before: int) -> int | None:
    """What it works on once that is no more than ``before``, or when patience is over."""
    deadline = subject.clock() + _PATIENCE
    while True:
        active = await _active(subject)
        if active is None or active <= before or subject.clock() >= deadline:
            return active
        await asyncio.sleep(_PAUSE)


async def _active(subject: Subject) -> int | None:
    with plugin(subject.origin, "active"):
        return await subject.backend.active()
