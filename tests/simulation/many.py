"""Many seeds, in several processes."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from .simulate import Found, simulate

__all__ = ["Tally", "simulate_many"]


@dataclass
class Tally:
    """What all seeds did together; ``broken`` are those that broke an invariant."""

    seeds: int = 0
    lives: int = 0
    deaths: int = 0
    rows: int = 0
    failed: int = 0
    virtual: float = 0.0
    broken: list[Found] = field(default_factory=list)

    def add(self, found: Found) -> None:
        self.seeds += 1
        self.lives += found.lives
        self.deaths += found.deaths
        self.rows += found.rows
        self.failed += found.failed
        self.virtual += found.seconds
        if found.faults:
            self.broken.append(found)

    def line(self, seconds: float) -> str:
        return (
            f"{self.seeds:,} seeds in {seconds:.1f} s ({self.seeds / seconds:.1f} a second): {self.lives:,} "
            f"processes, {self.deaths:,} of them killed, {self.virtual / 3600:.1f} virtual hours, "
            f"{self.rows:,} rows finished, {self.failed:,} made to fail; "
            f"{len(self.broken)} seeds broke an invariant"
        )


def simulate_many(seeds: Iterable[int], processes: int = 1) -> Tally:
    """Simulate them all; in this process if one is enough."""
    tally = Tally()
    if processes == 1:
        for found in map(simulate, seeds):
            tally.add(found)
        return tally
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for found in pool.map(simulate, seeds, chunksize=10):
            tally.add(found)
    return tally
