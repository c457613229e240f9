"""What a run is asked to do, and what has come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessy.budget import Budget
from tessy.crew import Crew
from tessy.journal.committer import Commit, Committer, ThreadCommitter
from tessy.limits import Limits
from tessy.types import Role
from tessy.workers.recipe import Recipe

__all__ = ["Outcome", "Plan"]


@dataclass(frozen=True)
class Plan:
    """All that a run needs, resolved: plugins constructed but not started.

    Attributes:
        prompts: where they are, or themselves (`tessy.prompts.read_prompts`); ``column``: their column.
        folder: the run directory.
        crew: who writes.
        policy, detector: their SPECs, as rows show them.
        models: what rows show as ``models``, by role.
        concurrency: trajectories at once; ``None``: what the backends serve well.
        workers: processes that write; with more than one, ``recipe`` is how each makes its crew.
        resume: ``auto`` goes on if there is something, ``always`` insists on it, ``never`` refuses.
        retry_failed: try the failed rows again that were tried less than ``attempts`` times.
        resolved: what ``run.yaml`` shows.
        hide: puts names of variables in the place of their values, in what is written.
        budget: what all runs that belong together may spend, earlier processes included.
        committer: decides when the journal's groups are committed.
    """

    prompts: str | Sequence[Any]
    folder: Path
    crew: Crew
    policy: str
    models: Mapping[Role, str]
    detector: str | None = None
    limits: Limits = field(default_factory=Limits)
    seed: int = 0
    column: str | None = None
    samples: int = 1
    limit: int | None = None
    concurrency: int | None = None
    workers: int = 1
    recipe: Recipe | None = None
    resume: str = "auto"
    retry_failed: bool = False
    attempts: int = 4
    resolved: Mapping[str, Any] = field(default_factory=dict)
    hide: Callable[[Any], Any] = field(default=lambda value: value)
    budget: Budget = field(default_factory=Budget)
    committer: Callable[[Commit], Committer] = ThreadCommitter


@dataclass(frozen=True)
class Outcome:
    """What a run directory holds when a process is through with it.

    ``stopped``: what ended it before all rows had, and how to go on.
    """

    folder: Path
    total: int
    done: int
    failed: int
    stopped: str | None = None
