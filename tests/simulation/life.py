"""One process: a run from its start to its end, or to its death at an instant that the seed says."""

from __future__ import annotations

import asyncio
import random
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from tessy.abc import SwitchPolicy
from tessy.boundary import Origin
from tessy.budget import Budget
from tessy.crew import Crew
from tessy.detection import Detection
from tessy.errors import BackendDown, TessyError
from tessy.execution import execute
from tessy.journal import Failure
from tessy.journal.committer import Commit
from tessy.limits import Limits
from tessy.observer import Observer
from tessy.plan import Outcome, Plan
from tessy.testing import VirtualTimeLoop
from tessy.types import Span, Usage

from .committer import SteppedCommitter
from .disk import Disk
from .engine import Detector, Engine
from .poisoned import poisoned
from .world import Poison, World

__all__ = ["ENDS", "Life"]

ENDS = ("killed", "killed in a commit", "interrupted", "down", "disk full", "budget", "limit")
"""Ways to end before the run is complete."""
_LONGEST = 1e6
"""Virtual seconds, after which a run is taken never to end."""


@dataclass
class Life(Observer):
    """What one process does and sees.

    Attributes:
        calm: nothing goes wrong, one row after the other, token by token.
        end: how it is to end early; ``None``: not.
        tokens: what is left to generate, about.
        most: streams at once.
        writes: it came as far as writing rows.
        written: what was committed, and when.
        wrong: what it found broken itself.
    """

    world: World
    disk: Disk
    chance: random.Random
    calm: bool = False
    end: str | None = None
    tokens: int = 1
    engines: dict[str, Engine] = field(default_factory=dict)
    dead: bool = False
    outcome: Outcome | None = None
    error: Exception | None = None
    seconds: float = 0.0
    most: int = 0
    writes: bool = False
    events: list[tuple[object, ...]] = field(default_factory=list)
    written: list[tuple[float, str, Span]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        chance = self.chance
        self.concurrency = 1 if self.calm else chance.choice((1, 2, 3, 8))
        self._size = 1 if self.calm else chance.choice((1, 2, 5, 40))
        self._slow = 0.0 if self.calm else chance.choice((0.0, 0.002, 0.01, 0.05))
        self._trouble = 0.0 if self.calm else self.world.trouble
        self._empty = not self.calm and chance.random() < 0.5
        self._last_token = chance.randrange(self.tokens + 2)
        self._commit = chance.randrange(1, 12) if self.end in ("killed in a commit", "disk full") else 0
        self._where = "full" if self.end == "disk full" else chance.choice(("before", "within", "after"))
        self._downs = chance.randrange(30) if self.end == "down" else -1
        self._running = 0

    # --- what engines ask -----------------------------------------------------------------------

    def poison(self, key: str) -> Poison | None:
        return None if self.calm else self.world.poison.get(key)

    def chunk(self) -> int:
        """Tokens that arrive together."""
        return 1 if self._size == 1 else self.chance.randint(1, self._size)

    def pause(self) -> float:
        """Seconds to the next chunk."""
        return self.chance.expovariate(1 / self._slow) if self._slow else 0.0

    def pause_of(self, key: str) -> float:
        """The same, but drawn from the key alone."""
        return random.Random(f"{self.world.seed} {key}").uniform(0, self._slow)

    def guesses(self) -> str:
        """How a detector guesses this time."""
        return self.chance.choice(self.world.guesses)

    def apart(self) -> bool:
        """Whether the finish comes in a chunk of its own."""
        return self._empty and self.chance.random() < 0.3

    def fails(self, before: int) -> tuple[int, str] | None:
        """After how many tokens a request fails, and how; never more often than a turn is asked for again."""
        if self._downs >= 0:
            self._downs -= 1
            if self._downs < 0:
                return self.chance.randrange(6), "down"
        if before >= 2 or self.chance.random() >= self._trouble:
            return None
        return self.chance.randrange(12), self.chance.choice(("busy", "busy", "late", "stalls"))

    def generated(self, tokens: int) -> None:
        """So many more; the seed's last one is followed by death, at once or soon."""
        before, self._last_token = self._last_token, self._last_token - tokens
        if self.end in ("killed", "interrupted") and before >= 0 > self._last_token:
            end = self.die if self.end == "killed" else self._main.cancel
            self._loop.call_later(self.chance.choice((0.0, self.chance.uniform(0, 0.1))), end)

    def began(self) -> None:
        self._running += 1
        self.most = max(self.most, self._running)

    def ended(self) -> None:
        self._running -= 1

    # --- how it ends ----------------------------------------------------------------------------

    def commits(self) -> str | None:
        """A group is about to be committed: where in it death comes, if it comes."""
        self._commit -= 1
        return self._where if self._commit == 0 else None

    def die(self) -> None:
        """From this instant on nothing of this process counts."""
        if self.dead:
            return
        self.dead = True
        self.seconds = self._loop.time()
        self.disk.snapshot()
        self._loop.call_soon(self._main.cancel)

    # --- the observer ---------------------------------------------------------------------------

    def admitted(self, row: str) -> None:
        self.writes = True
        self._note("admitted", row)

    def committed(self, row: str, span: Span) -> None:
        self._note("committed", row, span.turn, span.author, span.text)
        if not self.dead:
            self.written.append((self._loop.time(), row, span))

    def finished(self, row: str) -> None:
        self._note("finished", row)

    def failed(self, row: str, failure: Failure) -> None:
        self._note("failed", row, failure.reason)
        if failure.reason == "internal":
            self.wrong.append(f"{row} failed by an error of our own: {failure.message}")

    def _note(self, *what: object) -> None:
        self.events.append((round(self._loop.time(), 9), *what))

    # --- the run --------------------------------------------------------------------------------

    def live(self, prompts: Path) -> None:
        """From the start to the end, or to death."""
        self._loop = VirtualTimeLoop(sealed=True)
        with ExitStack() as stack:
            stack.enter_context(patch("tessy.writer.BLOCK", self.world.block))
            stack.enter_context(patch("tessy.boundary._EMPTY", 300))
            if not self.calm:
                stack.enter_context(patch("tessy.detection._BATCH", self.chance.choice((1, 2, 64))))
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._live(prompts))

    async def _live(self, prompts: Path) -> None:
        plan = self._plan(prompts)
        self._main = asyncio.ensure_future(execute(plan, self))
        if self._last_token == 0 and self.end == "killed":  # before anything is generated
            self._loop.call_later(self.chance.uniform(0, 0.02), self.die)
        self._loop.call_later(_LONGEST, self._main.cancel)
        try:
            self.outcome = await self._main
        except asyncio.CancelledError:
            assert self._loop.time() < _LONGEST, "the run never ends"
        except (BackendDown, TessyError) as error:
            if self.end not in ("down", "disk full"):
                raise
            self.error = error
        if not self.dead:
            self.seconds = self._loop.time()
        for role, engine in self.engines.items():
            if engine.running or engine.sessions:
                self.wrong.append(f"left open: {role}: {engine.running} streams, {engine.sessions} sessions")
        self.wrong += [f"left open: {t}" for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        self._note("over", self.outcome and (self.outcome.done, self.outcome.failed))

    @property
    def complete(self) -> bool:
        """Whether all rows have ended that the prompts hold."""
        rows = self.world.rows * self.world.samples
        return self.outcome is not None and self.outcome.done + self.outcome.failed == rows

    @property
    def cost(self) -> Usage:
        """What its engines have generated and read."""
        return sum((engine.spent for engine in self.engines.values()), Usage())

    def _plan(self, prompts: Path) -> Plan:
        world = self.world
        policy = world.policy() if self.calm else poisoned(world.policy(), world)
        limit = self.chance.randint(1, world.rows) if self.end == "limit" else None
        tokens = self.chance.randint(1, self.tokens + 1) if self.end == "budget" else None
        return Plan(
            prompts=str(prompts),
            folder=self.disk.folder,
            crew=self._crew(policy),
            policy="simulated",
            detector="words",
            models={role: role for role in self.engines},
            limits=Limits(max_length=world.length),
            samples=world.samples,
            concurrency=self.concurrency,
            limit=limit,
            budget=Budget(tokens=tokens),
            committer=self._committer,
        )

    def _committer(self, commit: Commit) -> SteppedCommitter:
        return SteppedCommitter(commit, self)

    def _crew(self, policy: SwitchPolicy) -> Crew:
        detection = None
        if policy.needs.labels:
            detection = Detection(Detector(self), Origin("style detector", "words", "simulation"))
        self.engines = {role: Engine(role, self) for role in policy.needs.roles}
        origins = {role: Origin("backend", role, "simulation") for role in self.engines}
        return Crew(policy, Origin("policy", "simulated", "simulation"), self.engines, origins, detection)
