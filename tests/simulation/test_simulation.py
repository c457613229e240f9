"""The short form of the simulation; ``make soak`` runs ten thousand seeds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from simulation.many import simulate_many
from simulation.simulate import simulate

_EACH = 25
"""Seeds in one test: enough tests to share out over processes."""


@pytest.mark.parametrize("first", range(0, 500, _EACH))
def test_no_seed_breaks_an_invariant(first: int) -> None:
    tally = simulate_many(range(first, first + _EACH))
    for broken in tally.broken:
        print(f"python -m tests.simulation --seed {broken.seed}", *broken.story, *broken.faults, sep="\n")
    assert not tally.broken
    assert tally.deaths > 0
    assert tally.rows > _EACH


@pytest.mark.parametrize("seed", [3, 12, 48])
def test_a_seed_replays_exactly(seed: int) -> None:
    """In this process, and in one whose strings hash otherwise."""
    first, again = simulate(seed), simulate(seed)
    assert (again.digest, again.faults) == (first.digest, first.faults)
    assert first.digest != simulate(seed + 1).digest
    told = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", str(seed)],
        cwd=Path(__file__).parents[2],
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert f"digest {first.digest}" in told.stdout
