"""No schedule is faster: the longest trace's own chain, the engines' capacity, and the slots.

All times are the model's seconds. A part of ``n`` tokens takes its time to the first token, the reading
of what the other has written since, and ``n - 1`` steps of an engine that is not crowded. With ``lookahead``
each hand-over costs that many tokens more: those that a detector must see before it knows, and the seam's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bench.schedule.traces import Part, Trace
from tessy.testing.simulated import Speed

__all__ = ["Bound", "bound", "chain"]


@dataclass(frozen=True, slots=True)
class Bound:
    """Seconds that no client undercuts.

    Attributes:
        chain: the longest trace alone on idle engines.
        capacity: the busier engine, with its batch full from the first second to the last.
        slots: all traces' chains, shared evenly among those that may be active.
    """

    chain: float
    capacity: float
    slots: float

    @property
    def seconds(self) -> float:
        """The largest of the three."""
        return max(self.chain, self.capacity, self.slots)


def bound(traces: Sequence[Trace], speed: Speed, slots: int, lookahead: float = 0.0) -> Bound:
    """The lower bound for writing all of them, ``slots`` at a time."""
    chains = [chain(trace, speed, lookahead) for trace in traces]
    work: defaultdict[str, float] = defaultdict(float)
    for trace in traces:
        for part in trace.parts:
            work[part.role] += written(part, lookahead)
    capacity = max(work.values()) * speed.token / speed.batch
    return Bound(max(chains), capacity, sum(chains) / slots)


def chain(trace: Trace, speed: Speed, lookahead: float) -> float:
    """One trace alone on idle engines."""
    return sum(
        part.first + part.before / speed.prefill + (written(part, lookahead) - 1) * speed.token
        for part in trace.parts
    )


def written(part: Part, lookahead: float) -> float:
    """Tokens that an engine writes for a part."""
    return part.tokens + (0.0 if part.closes else lookahead)
