"""The paper's settings with two real engines: the miniature pair under every policy that is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers import check_row, rows
from llamacpp.conftest import MODELS, make
from policies.stage import POLICIES, authors, policy
from tessy.boundary import Origin
from tessy.crew import Crew
from tessy.detection import Detection
from tessy.detectors.lexicon import LexiconDetector, LexiconOptions
from tessy.execution import execute
from tessy.observer import Observer
from tessy.plan import Plan

PROMPTS = MODELS.parent / "prompts.jsonl"
COUNT = 12
# The miniature teacher can do sums and nothing else: its score is that of a sum.
RUBRIC = "What is 2 + 6 - 4?\n\n{answer}\nThe answer is {score}."
OPTIONS: dict[str, dict[str, Any]] = {
    "teacher-reference": {"template": "{prompt}\n\n{reference}"},
    "teacher-score": {"candidates": 2, "rubric": RUBRIC, "tries": 5, "keep_others": True},
}
WRITERS = {
    "tessy": ({"teacher", "student"}, {"student"}),
    "teacher-only": ({"teacher"}, {"teacher"}),
    "teacher-think": ({"teacher"}, {"student"}),
    "teacher-answer": ({"student"}, {"teacher"}),
}


@pytest.mark.engine
@pytest.mark.parametrize("name", POLICIES)
async def test_it_writes(tmp_path: Path, name: str) -> None:
    made = policy(name, **OPTIONS.get(name, {}))
    detection = Detection(LexiconDetector(LexiconOptions()), Origin("style detector", "lexicon"))
    crew = Crew(
        made,
        Origin("policy", name),
        {role: make(role, parallel=16) for role in made.needs.roles},
        {role: Origin("backend", "llamacpp") for role in made.needs.roles},
        detection if made.needs.labels else None,
    )
    outcome = await execute(Plan(str(PROMPTS), tmp_path / "run", crew, name, {}, limit=COUNT), Observer())
    assert outcome.done >= COUNT - 2, "tiny models may lose the thread now and then"
    for row in rows(tmp_path / "run"):
        check_row(row)
        if name != "teacher-mix":
            wrote = WRITERS.get(name, ({"student"}, {"student"}))
            assert (authors(row, "think"), authors(row, "answer")) == wrote
        if name == "teacher-reference":
            assert row["tessy"]["prepared"]["reference"] not in row["messages"][0]["content"]
        if name == "teacher-score":
            scores = [one["score"] for one in row["tessy"]["selected"]["note"]["scores"]]
            given = [score for score in scores if score is not None]
            assert scores[row["tessy"]["selected"]["candidate"]] == max(given)
            assert len(row["tessy"]["candidates"]) == 1
    if name == "teacher-mix":
        assert {a for row in rows(tmp_path / "run") for a in authors(row, "answer")} == {"teacher", "student"}
