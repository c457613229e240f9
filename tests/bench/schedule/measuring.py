"""One schedule against fresh simulated servers, by the servers' own records."""

from __future__ import annotations

import asyncio
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bench.schedule import ours, paper
from bench.schedule.bound import bound
from bench.schedule.traces import Trace, traces
from bench.schedule.virtual import Steps, streaming
from tessy.testing.simulated import Lengths, Record, Speed, account, simulated_servers

__all__ = ["Ours", "Paper", "Setting", "measure_ours", "measure_paper"]

PAIR = ("teacher", "student")


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured: ``slots`` trajectories at once, ``prompts`` for each, and the servers' model.

    ``scale`` is how many of the model's seconds pass in a second: below 1 the machine has more time for
    everything than the model says, so that what is measured is the schedule and not the machine.
    ``ahead``: whether models are asked before the turn before has settled.
    """

    slots: int
    prompts: int = 4
    lengths: Lengths = field(default_factory=Lengths)
    speed: Speed = field(default_factory=Speed)
    scale: float = 1.0
    seed: int = 0
    ahead: bool = True

    @property
    def guessed(self) -> int:
        """Tokens that the detector's guess is ahead of its word: it guesses when the first one has come."""
        return int(self.ahead)

    def options(self) -> Mapping[str, Any]:
        """The servers' options."""
        parts = (self.lengths, self.speed)
        stated = {f.name: getattr(part, f.name) for part in parts for f in fields(part)}
        return {**stated, "scale": self.scale, "seed": self.seed}

    def texts(self) -> list[str]:
        """As many prompts as it takes, all different."""
        return [f"Question {i}?" for i in range(self.slots * self.prompts)]


@dataclass(frozen=True, slots=True)
class Ours:
    """Our run beside what is possible. Times are the model's seconds, counts are the servers'.

    Attributes:
        makespan: from the first request's arrival to the last one's end.
        bound, bound_seen: the lower bound, without lookahead, and with ``lookahead`` tokens a hand-over.
        ideal: the same schedule in virtual time with a client that takes no time at all.
        discarded, requests, spans, switches, kept: of all traces.
        late: tokens a hand-over beyond ``lookahead``: until the abort bites.
    """

    slots: int
    makespan: float
    bound: float
    bound_seen: float
    ideal: float
    lookahead: float
    discarded: int
    requests: int
    spans: int
    switches: int
    kept: int
    late: float
    client_cpu: float

    @property
    def ratio(self) -> float:
        """To the bound that counts lookahead and seam."""
        return self.makespan / self.bound_seen

    @property
    def strict(self) -> float:
        """To the bound without."""
        return self.makespan / self.bound


def measure_ours(setting: Setting, lookahead: int) -> Ours:
    """Our run. ``lookahead``: tokens past its end that show a part to be over, seam included."""
    with simulated_servers(PAIR, **setting.options()) as urls, tempfile.TemporaryDirectory() as folder:
        run = ours.write(urls, setting.texts(), setting.slots, Path(folder) / "ours", ahead=setting.ahead)
        records = _records(urls)
    books = account(records)
    known = _traces(setting, records)
    discarded = sum(one.discarded for one in books.values())
    return Ours(
        slots=setting.slots,
        makespan=_makespan(records),
        bound=bound(known, setting.speed, setting.slots).seconds,
        bound_seen=bound(known, setting.speed, setting.slots, lookahead).seconds,
        ideal=streaming(
            known, setting.speed, setting.slots, lookahead=lookahead, ahead=setting.guessed
        ).seconds,
        lookahead=lookahead,
        discarded=discarded,
        requests=len(records),
        spans=run.spans,
        switches=run.switches,
        kept=sum(one.kept for one in books.values()),
        late=discarded / max(1, run.switches) - lookahead,
        client_cpu=run.cpu,
    )


@dataclass(frozen=True, slots=True)
class Paper:
    """The paper's schedule: the model's seconds, and the servers' counts."""

    slots: int
    steps: Steps
    makespan: float
    rounds: int
    requests: int
    discarded: int
    kept: int


def measure_paper(setting: Setting, steps: Steps) -> Paper:
    """The paper's schedule over the same kind of servers, with the same prompts."""
    with simulated_servers(PAIR, **setting.options()) as urls:
        rounds = asyncio.run(paper.write(urls, setting.texts(), setting.slots, steps))
        records = _records(urls)
    books = account(records)
    return Paper(
        slots=setting.slots,
        steps=steps,
        makespan=_makespan(records),
        rounds=rounds,
        requests=len(records),
        discarded=sum(one.discarded for one in books.values()),
        kept=sum(one.kept for one in books.values()),
    )


def _records(urls: Mapping[str, str]) -> list[Record]:
    found = []
    for url in urls.values():
        with urllib.request.urlopen(f"{url}/log") as answer:
            found += [Record.read(line) for line in answer.read().splitlines()]
    return found


def _makespan(records: Sequence[Record]) -> float:
    return max(one.ended for one in records) - min(one.arrived for one in records)


def _traces(setting: Setting, records: Sequence[Record]) -> list[Trace]:
    """In the order in which they were begun."""
    ordered = dict.fromkeys(one.trace for one in sorted(records, key=lambda one: one.arrived))
    return traces(ordered, seed=setting.seed, lengths=setting.lengths, speed=setting.speed)
