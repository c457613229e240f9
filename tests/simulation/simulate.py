"""One seed: a run left alone, then the same one broken in every way and gone on with; both must agree."""

from __future__ import annotations

import json
import os
import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

from .disk import Disk
from .invariants import Held, faults_in_lines, read_journal
from .life import ENDS, Life
from .world import World

__all__ = ["Found", "simulate"]

_DURABLE = 0.1
"""Seconds after which what is committed must survive a death."""


@dataclass
class Found:
    """What a seed did, and which invariants it broke.

    Attributes:
        story: what the world was and how each life ended.
        digest: of all that happened, in its order: equal for equal seeds.
    """

    seed: int
    faults: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    digest: str = ""
    lives: int = 0
    deaths: int = 0
    rows: int = 0
    failed: int = 0
    seconds: float = 0.0


def simulate(seed: int) -> Found:
    """Live through a seed. What it raises is a fault, too."""
    found = Found(seed)
    world = World.draw(seed)
    found.story.append(str(world))
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    with TemporaryDirectory(prefix="tessy-sim-", dir=memory if os.access(memory, os.W_OK) else None) as root:
        try:
            _Simulation(world, Path(root), found).run()
        except Exception as error:
            found.faults.append(f"{type(error).__name__}: {error}")
            found.story.append(_trace(error))
    return found


def _trace(error: Exception) -> str:
    import traceback

    return "".join(traceback.format_exception(error)[-12:])


class _Simulation:
    def __init__(self, world: World, root: Path, found: Found) -> None:
        self._world = world
        self._found = found
        self._chance = random.Random(f"lives {world.seed}")
        self._prompts = world.write_prompts(root / "prompts.jsonl")
        self._alone = Disk(root / "alone")
        self._disk = Disk(root / "torn")
        self._digest = blake2b(digest_size=8)

    def run(self) -> None:
        alone = Life(self._world, self._alone, random.Random(0), calm=True)
        self._live(alone)
        expected = _lines(self._alone.folder / "data.jsonl"), _lines(self._alone.folder / "failures.jsonl")
        before, left = Held(), alone.cost.generated
        for n in range(self._world.lives):
            chance = random.Random(f"{self._world.seed} {n}")
            life = Life(self._world, self._disk, chance, end=self._chance.choice(ENDS), tokens=left)
            before = self._one(life, before)
            if life.complete:
                break
            left = max(0, left - life.cost.generated * 2 // 3)
        life = Life(self._world, self._disk, random.Random(f"{self._world.seed} last"))
        before = self._one(life, before)
        if not life.complete:
            self._fault("the last life ended before the run was complete")
        self._compare(*expected, before)
        self._found.digest = self._digest.hexdigest()

    def _live(self, life: Life) -> None:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            life.live(self._prompts)
        for warning in warned:
            self._fault(f"a warning: {warning.message}")
        for fault in life.wrong:
            self._fault(fault)
        self._digest.update(repr(life.events).encode())

    def _one(self, life: Life, before: Held) -> Held:
        """A life and what it leaves behind."""
        found = self._found
        self._live(life)
        end = "died" if life.dead else "complete" if life.outcome else str(life.error or "interrupted")
        found.story.append(f"{life.end or 'last'}: {end} after {life.seconds:.3f} s")
        found.lives += 1
        found.deaths += life.dead
        found.seconds += life.seconds
        streams = life.concurrency * (2 if self._world.ahead else 1)
        if life.most > streams:
            self._fault(f"{life.most} streams at once, {streams} are allowed")
        if life.dead:
            self._disk.go_on()
        folder = self._disk.folder
        if not folder.exists():
            return before
        held = read_journal(folder)
        for fault in (*held.faults, *held.lost_since(before), *_too_late(life, held)):
            self._fault(fault)
        if not life.dead and life.error is None:
            for fault in _unbooked(life, held, before):
                self._fault(fault)
        if life.writes and not life.dead:
            for fault in faults_in_lines((folder / "data.jsonl").read_bytes(), held, self._world.samples):
                self._fault(fault)
        if life.dead:
            self._disk.damage(self._chance)
        return held

    def _compare(self, expected: dict[str, bytes], failures: dict[str, bytes], held: Held) -> None:
        """The rows of the run that was left alone; without those that were made to fail."""
        world, found = self._world, self._found
        data, failed = (_lines(self._disk.folder / name) for name in ("data.jsonl", "failures.jsonl"))
        found.rows, found.failed = len(data), len(failed)
        self._digest.update(repr((data, failed)).encode())
        poisoned = {id if world.samples > 1 else id.removesuffix("#0") for id in world.poison}
        if list(data) != [id for id in expected if id in data]:
            self._fault(f"rows {list(data)} are not in their order, or unknown")
        for id in {**expected, **failures}:
            if id in poisoned and id in failed:
                if id in data:
                    self._fault(f"{id}: finished and failed")
                continue
            if data.get(id) != expected.get(id):
                self._fault(f"{id}: {_difference(data.get(id), expected.get(id), failed.get(id))}")
            if failed.get(id) != failures.get(id):
                self._fault(f"{id}: failed with {failed.get(id)!r}, not {failures.get(id)!r}")

    def _fault(self, fault: str) -> None:
        self._found.faults.append(fault)


def _too_late(life: Life, held: Held) -> Iterator[str]:
    """Spans that were committed long enough before the end, and are not there."""
    for at, row, span in life.written:
        if (life.dead and at > life.seconds - _DURABLE) or life.error is not None:
            continue
        texts = [text for (name, _), spans in held.texts.items() if name == row for *_, text in spans]
        if span.text not in texts:
            yield f"{row}: a span of turn {span.turn} was committed at {at:.3f} s and is not in the journal"


def _unbooked(life: Life, held: Held, before: Held) -> Iterator[str]:
    """All that the engines did is booked, and nothing else."""
    if not life.world.counts:
        return
    for name in ("prompt", "generated", "requests"):
        booked = held.usage.get(name, 0) - before.usage.get(name, 0)
        if booked != getattr(life.cost, name):
            yield f"usage: {booked} {name} are booked, the engines counted {getattr(life.cost, name)}"


def _lines(path: Path) -> dict[str, bytes]:
    return {json.loads(line)["id"]: line for line in path.read_bytes().splitlines()}


def _difference(got: bytes | None, wanted: bytes | None, failed: bytes | None) -> str:
    if got is None or wanted is None:
        return f"is {'missing' if got is None else 'there'}, failure: {failed!r}"
    at = next((i for i, (a, b) in enumerate(zip(got, wanted, strict=False)) if a != b), 0)
    return f"other bytes from {at}: {got[at - 60 : at + 90]!r}, not {wanted[at - 60 : at + 90]!r}"
