"""Options of a plugin from outside, in groups: shown, given on the command line, refused with their path."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cli.shell import rows, scripted, tessy
from helpers import write_prompts
from plugin_packages import install

SOURCE = """
from enum import Enum

from pydantic import Field, model_validator

from tessy import Done, Needs, Options, Plugin, SwitchPolicy, Turn, hookimpl


class Order(Enum):
    TEACHER_FIRST = "teacher-first"
    STUDENT_FIRST = "student-first"


class Turns(Options):
    teacher: int = Field(20, ge=1, description="tokens of the teacher's turns")
    student: int | None = Field(None, ge=1, description="tokens of the student's; none: as many")


class RelayOptions(Options):
    order: Order = Field(Order.STUDENT_FIRST, description="who begins")
    turns: Turns = Field(Turns(), description="how long turns are")
    rounds: int = Field(description="rounds before the student answers")
    equal: bool = Field(False, description="both write as much")

    @model_validator(mode="after")
    def _one_length(self):
        if self.equal and self.turns.student not in (None, self.turns.teacher):
            raise ValueError("equal=true contradicts turns.student, which differs from turns.teacher")
        return self


class Relay(SwitchPolicy):
    Options = RelayOptions
    needs = Needs()

    def next_turn(self, trajectory):
        if trajectory.phase == "answer":
            return Done() if trajectory.ended == "end_of_turn" else Turn("student", "answer")
        n, turns = len(trajectory.turns), self.options.turns
        if n >= 2 * self.options.rounds:
            return Turn("student", "answer")
        if (n % 2 == 0) == (self.options.order is Order.STUDENT_FIRST):
            return Turn("student", max_tokens=turns.student or turns.teacher)
        return Turn("teacher", max_tokens=turns.teacher)


@hookimpl
def tessy_switch_policies():
    return [Plugin("relay", "they take turns", lambda: Relay)]
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    site = tmp_path / "site"
    install(site, "relay-pack", SOURCE)
    paths = [str(site), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "COLUMNS": "120"}


def test_they_are_shown_with_choices_limits_and_what_is_required(environ: dict[str, str]) -> None:
    lines = tessy("plugins", "relay", env=environ).stdout.splitlines()
    shown = [" ".join(line.split()) for line in lines]
    assert "order teacher-first | student-first student-first who begins" in shown
    assert "turns.teacher int, ≥ 1 20 tokens of the teacher's turns" in shown
    assert "rounds int required rounds before the student answers" in shown
    assert any(
        line.startswith("turns.student int | none, ≥ 1 none tokens of the student's") for line in shown
    )
    (row,) = json.loads(tessy("plugins", "relay", "--json", env=environ).stdout)
    options = {option["name"]: option for option in row["options"]}
    assert list(options) == ["order", "turns", "turns.teacher", "turns.student", "rounds", "equal"]
    assert options["turns"]["default"] == {"teacher": 20, "student": None}
    assert options["turns.teacher"]["limits"] == "≥ 1"
    assert options["rounds"]["required"]


def test_they_are_given_by_their_path(tmp_path: Path, environ: dict[str, str]) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", 1)
    spec = "relay?rounds=2&turns.teacher=3&turns.student=2&order=teacher-first"
    tessy("run", prompts, "-o", tmp_path / "run", "--policy", spec, *scripted(), env=environ)
    (row,) = rows(tmp_path / "run")
    spans = [(span["author"], span["tokens"]) for span in row["tessy"]["spans"] if span["phase"] == "think"]
    assert spans == [("teacher", 3), ("student", 2)] * 2
    # The same from the resolved configuration, where they are a mapping.
    tessy("run", "-c", tmp_path / "run" / "run.yaml", "-o", tmp_path / "again", env=environ)
    assert rows(tmp_path / "again")[0]["messages"] == row["messages"]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("relay", "policy relay: rounds: is required (package relay-pack)"),
        ("relay?rounds=1&turns.techer=3", "relay: turns.techer: no such option; did you mean 'teacher'?"),
        ("relay?rounds=1&turns.teacher=0", "turns.teacher: must be greater than or equal to 1, got '0'"),
        ("relay?rounds=1&order=first", "order: must be 'teacher-first' or 'student-first', got 'first'"),
        ("relay?rounds=1&turns=3", "turns: must be a valid dictionary or instance of Turns, got '3'"),
        ("relay?rounds=1&turns=3&turns.teacher=3", "'turns' is given a value of its own too"),
        ("relay?rounds=1&equal=yes&turns.student=3", "policy relay: equal=true contradicts turns.student"),
    ],
)  # fmt: skip
def test_mistakes_and_contradictions(tmp_path: Path, environ: dict[str, str], spec: str, says: str) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", 1)
    command = ["run", prompts, "-o", tmp_path / "run", "--policy", spec, *scripted()]
    found = tessy(*command, env=environ, code=2)
    assert says in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "run").exists()
