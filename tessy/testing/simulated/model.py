"""The stated model: how long things take and how long texts are. All times are seconds, all lengths tokens.

Random figures are log-normal, given by their mean and the σ of their logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log
from random import Random

__all__ = ["Lengths", "Speed", "lognormal"]


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast the engine is.

    Attributes:
        first: mean time to the first token of a request whose prompt is cached; ``first_spread`` its σ.
        prefill: prompt tokens a second that are not cached, of one request.
        prefill_all: the same of all requests together, one after the other; ``inf``: no request is delayed by
            another's prompt.
        token: time between two tokens of a sequence while at most ``batch`` are decoded.
        batch: with more than this many, each takes longer in proportion: ``batch / token`` tokens a second is
            all that the engine can do.
        seats: sequences it takes at once; what comes beyond waits in its queue.
        linger: how long it goes on with a stream that nobody reads any more; ``inf``: to its end.
    """

    first: float = 0.030
    first_spread: float = 0.4
    prefill: float = 20_000.0
    prefill_all: float = inf
    token: float = 0.010
    batch: int = 64
    seats: int = 1024
    linger: float = 0.0

    def step(self, decoding: int) -> float:
        """Time between two tokens of a sequence while so many are decoded."""
        return self.token * max(1.0, decoding / self.batch)


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long texts are.

    Attributes:
        thinking, answer: mean lengths of a trace's parts; ``spread`` is their σ.
        style, capability: mean lengths of the spans of a thinking, which alternate; ``span_spread`` is
            their σ.
    """

    thinking: float = 13_600.0
    answer: float = 800.0
    spread: float = 0.5
    style: float = 5.0
    capability: float = 20.0
    span_spread: float = 0.6


def lognormal(random: Random, mean: float, spread: float) -> float:
    """A log-normal figure with that mean, and that σ of its logarithm."""
    return random.lognormvariate(log(mean) - spread * spread / 2, spread) if mean > 0 else 0.0
