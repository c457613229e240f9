"""Whole runs of a policy on virtual time, with scripted models and a real journal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessy.abc import Backend, StyleDetector, SwitchPolicy
from tessy.boundary import Origin
from tessy.crew import Crew
from tessy.detection import Detection
from tessy.execution import execute
from tessy.journal import Failure, Job, Store
from tessy.limits import Limits
from tessy.observer import Observer
from tessy.plan import Outcome, Plan
from tessy.types import Prepared, Role, Span, TurnRecord

__all__ = ["Cast", "Trace", "Watcher", "check_row", "data", "traces", "write"]

_CANDIDATES = 64
"""More than a policy writes in a test."""


@dataclass
class Cast:
    """Who plays: a policy with a backend a role, and a detector if it wants labels."""

    policy: SwitchPolicy
    backends: Mapping[Role, Backend]
    detector: StyleDetector | None

    def crew(self) -> Crew:
        """The same for the core."""
        name = type(self.policy).__name__
        detection = None
        if self.detector is not None:
            origin = Origin("style detector", type(self.detector).__name__, "tessy.testing")
            detection = Detection(self.detector, origin)
        return Crew(
            self.policy,
            Origin("policy", name, "under test"),
            self.backends,
            {role: Origin("backend", role, "tessy.testing") for role in self.backends},
            detection,
        )


@dataclass
class Trace:
    """One candidate of a row in the journal: what a policy's decisions were made from."""

    job: Job
    candidate: int
    prepared: Prepared | None
    spans: list[Span]
    turns: list[TurnRecord]


@dataclass
class Watcher(Observer):
    """Keeps what happens; interrupts a run after so many turns."""

    stop_after: int | None = None
    records: list[TurnRecord] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    task: asyncio.Task[Any] | None = None

    def turn(self, row: str, record: TurnRecord) -> None:
        self.records.append(record)
        if self.task is not None and len(self.records) == self.stop_after:
            self.task.cancel()

    def failed(self, row: str, failure: Failure) -> None:
        self.failures.append(failure)


async def write(
    folder: Path,
    cast: Cast,
    watcher: Watcher | None = None,
    *,
    rows: int = 3,
    concurrency: int = 4,
    max_length: int = 40_000,
) -> Outcome | None:
    """Write some rows; ``None``: the watcher has interrupted it."""
    prompts = folder.with_suffix(".prompts.jsonl")
    lines = [json.dumps({"id": f"p{i}", "prompt": f"Question {i}?"}) + "\n" for i in range(rows)]
    prompts.write_text("".join(lines), encoding="utf-8")
    watcher = watcher or Watcher()
    plan = Plan(
        str(prompts),
        folder,
        cast.crew(),
        "policy",
        {role: f"scripted:{role}" for role in cast.backends},
        detector=None if cast.detector is None else "scripted",
        # What tests let models write is a loop more often than not.
        limits=Limits(max_length=max_length, repetition=None),
        concurrency=concurrency,
    )
    watcher.task = asyncio.create_task(execute(plan, watcher))
    try:
        await asyncio.wait([watcher.task])
    finally:
        watcher.task.cancel()
    return None if watcher.task.cancelled() else watcher.task.result()


def data(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run directory."""
    text = (folder / "data.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def traces(folder: Path) -> list[Trace]:
    """What its journal holds of the finished rows, all their candidates."""
    store = Store(folder / "journal.sqlite", write=False)
    try:
        return [
            Trace(store.job(n), i, store.prepared(n), store.spans(n, i), turns)
            for n in list(store.ended("done"))
            for i in range(_CANDIDATES)
            if (turns := store.turns(n, i))
        ]
    finally:
        store.close()


def check_row(row: Mapping[str, Any], roles: Sequence[Role], marks: tuple[str, str]) -> None:
    """Every character of a row has an author among ``roles``, the marks apart."""
    content = row["messages"][-1]["content"]
    at, gaps = 0, []
    for span in row["tessy"]["spans"]:
        assert span["author"] in roles, f"written by {span['author']!r}, who is not in its needs: {roles}"
        assert at <= span["start"] < span["end"] <= len(content), f"not ascending: {span}"
        gaps += [content[at : span["start"]]] if at < span["start"] else []
        at = span["end"]
    assert at == len(content), f"nobody wrote {content[at:]!r:.60}"
    assert "".join(gaps) in ("", "".join(marks)), f"between the spans stands {gaps}"
