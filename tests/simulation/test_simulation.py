"""The short form of the simulation; ``make soak`` runs ten thousand seeds."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simulation.many import simulate_many
from simulation.simulate import simulate
from tessy.journal import Store
from tessy.journal.entries import Entry
from tessy.seeds import derive
from tessy.types import Usage

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


async def _nothing(*args: Any) -> None:
    pass


_apply = Store.apply


def _no_turns(store: Store, entry: Entry) -> None:
    if entry.op != "turn":
        _apply(store, entry)


def _now(*parts: object) -> int:
    return derive(*parts, asyncio.get_running_loop().time())


def _once_more(usage: Usage, other: Usage) -> Usage:
    return replace(usage, requests=usage.requests + other.requests + 1, generated=usage.generated)


@pytest.mark.parametrize(
    ("broken", "by", "found"),
    [
        ("tessy.sessions.Sessions.close", _nothing, "left open"),
        ("tessy.turns.derive", _now, "other bytes"),
        ("tessy.ahead.Flight.fits", lambda self, wanted: True, "other bytes"),
        ("tessy.admission.Admission._wake", lambda self: None, "never ends"),
        ("tessy.dataset.Dataset.mend", lambda self: None, "No such file"),
        ("tessy.journal.store.Store.apply", _no_turns, "spans of turns"),
        ("tessy.types.Usage.__add__", _once_more, "usage"),
    ],
)
def test_it_finds_what_is_broken(
    monkeypatch: pytest.MonkeyPatch, broken: str, by: Callable[..., Any], found: str
) -> None:
    logging.disable(logging.ERROR)
    monkeypatch.setattr(broken, by)
    try:
        assert any(found in fault for seed in range(60) for fault in simulate(seed).faults)
    finally:
        logging.disable(logging.NOTSET)


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
