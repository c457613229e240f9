"""``python -m tests.simulation --seed N`` replays a seed; ``--seeds N [--first N]`` tries so many."""

from __future__ import annotations

import argparse
import sys
from time import perf_counter

from .many import simulate_many
from .simulate import simulate


def main(seeds: int = 1000) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description="deterministic simulation"
    )
    parser.add_argument("--seed", type=int, help="replay this one and tell its story")
    parser.add_argument("--seeds", type=int, default=seeds, help="how many to try")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    if given.seed is not None:
        found = simulate(given.seed)
        print(*found.story, *(f"FAULT {fault}" for fault in found.faults), f"digest {found.digest}", sep="\n")
        return bool(found.faults)
    began = perf_counter()
    tally = simulate_many(range(given.first, given.first + given.seeds), given.processes)
    print(tally.line(perf_counter() - began))
    for broken in tally.broken:
        print(f"  seed {broken.seed}: {'; '.join(broken.faults)[:600]}")
    return bool(tally.broken)


if __name__ == "__main__":
    sys.exit(main())
