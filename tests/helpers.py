"""What many tests share: a detector for scripted text, crews, and runs on virtual time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

from tessy.abc import Options, StyleDetector, SwitchPolicy
from tessy.boundary import Origin
from tessy.crew import Crew
from tessy.detection import Detection
from tessy.execution import execute
from tessy.observer import Observer
from tessy.plan import Outcome, Plan
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy.testing import ScriptedBackend, ScriptedDetector, ScriptedOptions, run_virtual
from tessy.trajectory import Trajectory
from tessy.types import Done, Needs, Turn

WordDetector = ScriptedDetector


class Plain(SwitchPolicy):
    """The student thinks in turns of ten tokens, then answers."""

    def __init__(self) -> None:
        super().__init__(Options())

    @property
    def needs(self) -> Needs:
        return Needs()

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        if trajectory.phase == "answer" and trajectory.ended == "end_of_turn":
            return Done()
        return Turn("student", trajectory.phase, max_tokens=10)


def crew(
    policy: SwitchPolicy | None = None,
    *,
    teacher: ScriptedBackend | None = None,
    student: ScriptedBackend | None = None,
    detector: StyleDetector | None = None,
    **options: Any,
) -> Crew:
    """A scripted pair under a policy (default ``tessy``)."""
    policy = policy or TessyPolicy(TessyOptions())
    detection = None
    if policy.needs.labels:
        detection = Detection(detector or WordDetector(Options()), Origin("style detector", "words", "tests"))
    made = {
        "teacher": teacher or ScriptedBackend("teacher", ScriptedOptions(**options)),
        "student": student or ScriptedBackend("student", ScriptedOptions(**options)),
    }
    backends = {role: made[role] for role in policy.needs.roles}
    origin = Origin("policy", type(policy).__name__, "tests")
    return Crew(policy, origin, backends, {r: Origin("backend", "scripted") for r in backends}, detection)


def write_prompts(path: Path, count: int) -> Path:
    """A prompt file of so many rows."""
    rows = [{"id": f"p{i}", "prompt": f"Question {i}?", "level": i % 3} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def plan(folder: Path, prompts: Path, made: Crew | None = None, **fields: Any) -> Plan:
    """A run of scripted models."""
    return Plan(
        prompts=str(prompts),
        folder=folder,
        crew=made or crew(),
        policy="tessy",
        detector="words",
        models={"teacher": "scripted:teacher", "student": "scripted:student"},
        **fields,
    )


def on_virtual_time(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on a loop whose sleeps cost nothing."""
    return run_virtual(work)


def run(plan: Plan, observer: Observer | None = None) -> Outcome:
    """Run a plan on virtual time."""
    outcome: Outcome = on_virtual_time(execute(plan, observer or Observer()))
    return outcome


def rows(folder: Path, name: str = "data.jsonl") -> list[dict[str, Any]]:
    """The rows of a run directory."""
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def booked(folder: Path) -> dict[str, int]:
    """All usage that a run's journal has."""
    names = ("prompt", "generated", "kept", "marks", "discarded", "requests")
    with closing(sqlite3.connect(folder / "journal.sqlite")) as db:
        sums = db.execute(f"SELECT {', '.join(f'sum({name})' for name in names)} FROM usage").fetchone()
    return dict(zip(names, sums, strict=True))


def check_row(row: dict[str, Any], *, marks: tuple[str, str] = ("<think>\n", "\n</think>\n\n")) -> None:
    """Invariant 2: the content is its spans and the format's marks, each character with an author."""
    content = row["messages"][-1]["content"]
    spans = row["tessy"]["spans"]
    at, gaps = 0, []
    for span in spans:
        assert at <= span["start"] < span["end"] <= len(content), span
        if content[at : span["start"]]:
            gaps.append(content[at : span["start"]])
        at = span["end"]
    assert at == len(content)
    assert gaps == [mark for mark in marks if mark], gaps
    for author in ("teacher", "student"):
        counted = sum(span["tokens"] for span in spans if span["author"] == author)
        assert row["tessy"]["tokens"][author] == counted
