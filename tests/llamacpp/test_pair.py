"""The miniature pair writes together, through the whole core and two real engines."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from helpers import check_row, rows
from llamacpp.conftest import MODELS, make
from tessy.abc import SwitchPolicy
from tessy.boundary import Origin
from tessy.crew import Crew
from tessy.detection import Detection
from tessy.detectors.lexicon import LexiconDetector, LexiconOptions
from tessy.execution import execute
from tessy.observer import Observer
from tessy.plan import Plan
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy.policies.isolation import IsolationOptions
from tessy.policies.solo import StudentOnly, TeacherOnly
from tessy.types import Span
from tessy_llamacpp.backend import LlamaCppBackend

PROMPTS = MODELS.parent / "prompts.jsonl"
ROLES = ("teacher", "student")


class Counting(Observer):
    """Reads the engines' own counters before they are closed."""

    def __init__(self, backends: dict[str, LlamaCppBackend]) -> None:
        self.backends = backends
        self.drawn: dict[str, int] = {}
        self.prompts: dict[str, int] = dict.fromkeys(ROLES, 0)
        self.foreign: dict[str, int] = dict.fromkeys(ROLES, 0)

    def committed(self, row: str, span: Span) -> None:
        for role, backend in self.backends.items():
            if role != span.author and backend._loaded is not None:
                self.foreign[role] += backend.count_tokens(span.text)

    def finished(self, row: str) -> None:
        loaded = {role: b for role, b in self.backends.items() if b._loaded is not None}
        self.drawn = {role: backend.steps.drawn for role, backend in loaded.items()}


@pytest.fixture
def backends() -> dict[str, LlamaCppBackend]:
    return {role: make(role, parallel=32) for role in ROLES}


async def write(
    folder: Path,
    backends: dict[str, LlamaCppBackend],
    count: int,
    concurrency: int,
    policy: SwitchPolicy | None = None,
) -> Counting:
    policy = policy or TessyPolicy(TessyOptions())
    crew = Crew(
        policy,
        Origin("policy", "tessy"),
        {role: backends[role] for role in policy.needs.roles},
        {role: Origin("backend", "llamacpp") for role in ROLES},
        Detection(LexiconDetector(LexiconOptions()), Origin("style detector", "lexicon")),
    )
    observer = Counting(backends)
    plan = Plan(str(PROMPTS), folder, crew, "tessy", {}, limit=count, concurrency=concurrency)
    outcome = await execute(plan, observer)
    assert outcome.total == count
    return observer


async def test_every_figure_adds_up(tmp_path: Path, backends: dict[str, LlamaCppBackend]) -> None:
    seen = await write(tmp_path, backends, 48, 32)
    data = rows(tmp_path)
    assert len(data) >= 44, "the pair nearly always finishes"
    for row in data:
        check_row(row)
        spans = row["tessy"]["spans"]
        assert {s["author"] for s in spans} == set(ROLES)
        assert {s["author"] for s in spans if s["phase"] == "answer"} == {"student"}
    db = sqlite3.connect(tmp_path / "journal.sqlite")
    for role in ROLES:
        generated, kept, marks, discarded = db.execute(
            "SELECT sum(generated), sum(kept), sum(marks), sum(discarded) FROM usage WHERE role = ?", (role,)
        ).fetchone()
        assert generated == kept + marks + discarded
        # Nothing that the engine drew is missing from the books.
        assert generated == seen.drawn[role]
        (in_spans,) = db.execute("SELECT sum(tokens) FROM spans WHERE author = ?", (role,)).fetchone()
        assert kept == in_spans
        if len(data) == 48:
            assert kept == sum(row["tessy"]["tokens"][role] for row in data)
        # Decoded as prompt: the prompts once, and what the other wrote, hardly more.
        (decoded,) = db.execute("SELECT sum(prompt - cached) FROM usage WHERE role = ?", (role,)).fetchone()
        (prompts,) = db.execute(
            "SELECT sum(prompt) FROM usage u WHERE role = ? AND turn = "
            "(SELECT min(turn) FROM usage v WHERE v.row = u.row AND v.role = u.role)", (role,)
        ).fetchone()  # fmt: skip
        assert decoded <= 1.3 * (prompts + seen.foreign[role])
    db.close()


async def test_more_trajectories_than_sequences_lose_nothing(tmp_path: Path) -> None:
    backends = {role: make(role, parallel=3) for role in ROLES}
    await write(tmp_path, backends, 12, 12)
    for row in rows(tmp_path):
        check_row(row)


async def test_together_they_are_nearly_as_good_as_the_teacher_alone(tmp_path: Path) -> None:
    """The point of the method in miniature: the student's voice, the teacher's sums."""
    right = {}
    policies: dict[str, SwitchPolicy] = {
        "teacher": TeacherOnly(IsolationOptions()),
        "student": StudentOnly(IsolationOptions()),
        "together": TessyPolicy(TessyOptions()),
    }
    for name, policy in policies.items():
        backends = {role: make(role, parallel=32) for role in ROLES}
        await write(tmp_path / name, backends, 48, 32, policy)
        data = rows(tmp_path / name)
        answers = [row["messages"][-1]["content"].split("</think>")[-1] for row in data]
        right[name] = sum(
            row["answer"] in re.findall(r"-?\d+", text) for row, text in zip(data, answers, strict=True)
        )
    assert right["teacher"] >= 44
    assert 12 <= right["student"] <= 36
    assert right["together"] >= 41
