from __future__ import annotations

import json
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from helpers import write_prompts
from policies.stage import authors, crew, write
from tessy.policies.teacher_mix import TeacherMix, TeacherMixOptions
from tessy.trajectory import Trajectory
from tessy.types import Prompt


def mix(ratio: float = 0.5) -> TeacherMix:
    return TeacherMix(TeacherMixOptions(ratio=ratio))


def by(row: dict[str, Any]) -> str:
    (author,) = authors(row, "think") | authors(row, "answer")
    return str(author)


@pytest.mark.parametrize("ratio", [0, 0.1, 0.5, 0.8, 1])
def test_the_teacher_writes_its_share(ratio: float) -> None:
    count = 20_000
    policy, prompt = mix(ratio), Prompt.user("One?")
    wrote = [policy.authors(Trajectory(prompt, row=f"p{i}")) for i in range(count)]
    assert set(wrote) <= {("teacher", "teacher"), ("student", "student")}
    teacher = sum(author == "teacher" for author, _ in wrote)
    assert abs(teacher - count * ratio) <= 4 * sqrt(count * ratio * (1 - ratio))


def test_who_writes_follows_from_seed_row_and_sample_alone(tmp_path: Path) -> None:
    whole = write_prompts(tmp_path / "whole.jsonl", 24)
    lines = whole.read_text().splitlines()
    part = tmp_path / "part.jsonl"
    part.write_text("\n".join([json.dumps({"id": "new", "prompt": "New?"}), *lines[::-2]]) + "\n")
    _, first = write(tmp_path / "a", whole, crew(mix()))
    _, second = write(tmp_path / "b", part, crew(mix()))
    author = {row["id"]: by(row) for row in first}
    assert set(author.values()) == {"teacher", "student"}
    assert {row["id"]: by(row) for row in second if row["id"] != "new"} == {
        row["id"]: author[row["id"]] for row in second if row["id"] != "new"
    }
    _, other = write(tmp_path / "c", whole, crew(mix()), seed=1)
    assert {row["id"]: by(row) for row in other} != author
    _, samples = write(tmp_path / "d", whole, crew(mix()), samples=8, limit=1)
    assert {by(row) for row in samples} == {"teacher", "student"}


def test_a_higher_ratio_gives_the_teacher_more_and_takes_nothing_away() -> None:
    rows = [Trajectory(Prompt.user("One?"), row=f"p{i}") for i in range(200)]
    fewer = {t.row for t in rows if mix(0.3).authors(t)[0] == "teacher"}
    more = {t.row for t in rows if mix(0.6).authors(t)[0] == "teacher"}
    assert fewer < more


@pytest.mark.parametrize(
    ("ratio", "roles"), [(0, ("student",)), (0.5, ("teacher", "student")), (1, ("teacher",))]
)
def test_a_model_that_writes_nothing_is_not_needed(ratio: float, roles: tuple[str, ...]) -> None:
    assert mix(ratio).needs.roles == roles


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan"), float("inf"), "half"])
def test_a_ratio_that_is_none_is_refused(ratio: Any) -> None:
    with pytest.raises(ValidationError, match="ratio"):
        TeacherMixOptions(ratio=ratio)
