"""Traces as long as real ones, in virtual time: the bound, ours, and the paper's schedule."""

from __future__ import annotations

from dataclasses import dataclass

from bench.schedule.bound import bound
from bench.schedule.measuring import Setting
from bench.schedule.traces import traces
from bench.schedule.virtual import Outcome, Steps, barrier, streaming

__all__ = ["Long", "measure_long"]


@dataclass(frozen=True, slots=True)
class Long:
    """The model's seconds; `Outcome` has requests and tokens thrown away."""

    slots: int
    kept: int
    bound: float
    bound_seen: float
    ours: Outcome
    paper: Outcome
    paper_20: Outcome


def measure_long(setting: Setting, lookahead: int) -> Long:
    """All schedules on the same traces."""
    speed, slots = setting.speed, setting.slots
    numbers = range(1, 1 + slots * setting.prompts)
    known = traces(numbers, seed=setting.seed, lengths=setting.lengths, speed=speed)
    return Long(
        slots=slots,
        kept=sum(trace.tokens for trace in known),
        bound=bound(known, speed, slots).seconds,
        bound_seen=bound(known, speed, slots, lookahead).seconds,
        ours=streaming(known, speed, slots, lookahead=lookahead, ahead=setting.guessed),
        paper=barrier(known, speed, slots, Steps()),
        paper_20=barrier(known, speed, slots, Steps(20, 20)),
    )
