"""What an order can do about the tail of a run when nobody knows how long a trace will be.

``python tests/bench/bench_orders.py [--draws N]``. One engine that decodes 64 sequences at once, four
traces for each of 256 places, log-normal lengths (σ 0.5), no hand-overs, no client: only the order is left.
Each is measured against the same bound, the larger of the longest trace and of all tokens at 64 a step.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy
from numpy.typing import NDArray

SEATS, TRACES, MEAN, SIGMA = 64, 1024, 1000, 0.5
STEP = 4
"""Tokens of a sequence in one step of this reckoning."""

Floats: TypeAlias = NDArray[numpy.float64]
Key: TypeAlias = Callable[[Floats, Floats], Floats]
"""From what traces have written and what they still will: who goes first, the smallest."""

ORDERS: Mapping[str, tuple[int, Key | None]] = {
    "equal shares for 256": (256, None),
    "equal shares for 96": (96, None),
    "equal shares for 64": (64, None),
    "of 256 those with most tokens so far": (256, lambda written, left: -written),
    "of 256 those with fewest tokens so far": (256, lambda written, left: written),
    "of all those with fewest tokens so far": (TRACES, lambda written, left: written),
    "of all those with most still to come, which nobody knows": (TRACES, lambda written, left: -left),
}


def makespan(lengths: Floats, places: int, key: Key | None) -> float:
    """Steps of a token until all are written; a free place goes to the next in line."""
    left, written = lengths.copy(), numpy.zeros(len(lengths))
    active, begun, steps = numpy.arange(min(places, len(lengths))), min(places, len(lengths)), 0.0
    while len(active):
        chosen, share = active, min(1.0, SEATS / len(active))
        if key is not None and len(active) > SEATS:
            order = numpy.argsort(key(written[active], left[active]), kind="stable")
            chosen, share = active[order[:SEATS]], 1.0
        left[chosen] -= STEP * share
        written[chosen] += STEP * share
        steps += STEP
        active = active[left[active] > 0]
        fresh = numpy.arange(begun, min(begun + places - len(active), len(lengths)))
        begun += len(fresh)
        active = numpy.concatenate([active, fresh])
    return steps


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=12)
    given = parser.parse_args()
    ratios: dict[str, list[float]] = {name: [] for name in ORDERS}
    for seed in range(given.draws):
        random = numpy.random.default_rng(seed)
        lengths = random.lognormal(numpy.log(MEAN) - SIGMA**2 / 2, SIGMA, TRACES)
        bound = max(lengths.sum() / SEATS, lengths.max())
        for name, (places, key) in ORDERS.items():
            ratios[name].append(makespan(lengths, places, key) / bound)
    print("| order | ÷ bound | from … to |")
    print("|---|---:|---:|")
    for name, found in ratios.items():
        print(f"| {name} | {numpy.mean(found):.3f} | {min(found):.3f} … {max(found):.3f} |")


if __name__ == "__main__":
    main()
