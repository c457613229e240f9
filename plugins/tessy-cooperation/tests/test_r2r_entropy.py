"""R2R's entropy rule: a token is the teacher's exactly where the student's entropy reaches the threshold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripting import model, nats, notes, says, shown, sure, write_one
from tessy_cooperation.r2r_entropy import R2REntropyOptions, R2REntropyPolicy

PLAN = " So 5 + 3 is 8. That is all."


def policy(**options: Any) -> R2REntropyPolicy:
    return R2REntropyPolicy(R2REntropyOptions(**options))


def test_a_token_of_too_much_entropy_is_the_teachers(tmp_path: Path) -> None:
    assert nats(0.84, 0.16) < 0.45 <= nats(0.83, 0.17)  # 0.440 and 0.456
    student = model(
        "student",
        says({"": PLAN, " So 5 + 3 is eight.": " That is all."}),
        sure(**{"So": 0.84, "8.": 0.83}),
    )
    teacher = model("teacher", says({" So 5 + 3 is": " eight. I am sure."}))
    trace = write_one(tmp_path / "run", policy(), teacher, student)
    assert shown(trace) == [
        ("student", " So 5 + 3 is"),
        ("teacher", " eight."),
        ("student", " That is all."),
    ]
    assert notes(trace) == [{"entropy": pytest.approx(nats(0.83, 0.17))}, None, None]
    assert [turn.tokens for turn in trace.turns[:2]] == [5, 1]


def test_what_is_not_listed_counts_as_one_token(tmp_path: Path) -> None:
    """Of three alternatives two are listed: 0.5, 0.3, and a rest of 0.2."""

    def odds(so_far: str, word: str) -> dict[str, float]:
        return {word: 0.5, " a": 0.3, " b": 0.2} if "8" in word else {word: 1.0}

    student, teacher = model("student", says(PLAN), odds), model("teacher", says(PLAN))
    found = nats(0.5, 0.3, 0.2)
    above = write_one(tmp_path / "above", policy(threshold=found - 1e-9, alternatives=2), teacher, student)
    assert shown(above) == [("student", " So 5 + 3 is"), ("teacher", " 8."), ("student", " That is all.")]
    below = write_one(tmp_path / "below", policy(threshold=found + 1e-9, alternatives=2), teacher, student)
    assert shown(below) == [("student", PLAN)]


def test_an_end_that_the_student_is_unsure_of_is_the_teachers_to_decide(tmp_path: Path) -> None:
    def odds(so_far: str, word: str) -> dict[str, float]:
        return {word: 0.5, " Wait,": 0.5} if (so_far, word) == (" So 8.", "") else {word: 1.0}

    student = model("student", says({"": " So 8.", " So 8. Wait,": " it is 8."}), odds)
    teacher = model("teacher", says({" So 8.": " Wait, no."}))
    trace = write_one(tmp_path / "on", policy(), teacher, student)
    assert shown(trace) == [("student", " So 8."), ("teacher", " Wait,"), ("student", " it is 8.")]
    # A teacher that ends there ends it.
    teacher = model("teacher", says({" So 8.": ""}))
    trace = write_one(tmp_path / "off", policy(), teacher, student)
    assert shown(trace) == [("student", " So 8."), ("teacher", "")]
    assert shown(trace, "answer") == [("student", " done")]


def test_the_rule_holds_in_the_answer_unless_one_model_answers(tmp_path: Path) -> None:
    student = model("student", says(" So.", answer="It is 8."), sure(**{"is": 0.5}))
    teacher = model("teacher", says(" So.", answer="It was 8."))
    together = write_one(tmp_path / "together", policy(), teacher, student)
    assert shown(together, "answer") == [("student", " It"), ("teacher", " was"), ("student", " 8.")]
    for role, answer in (("student", " It is 8."), ("teacher", " It was 8.")):
        alone = write_one(tmp_path / role, policy(answer=role), teacher, student)
        assert shown(alone, "answer") == [(role, answer)]
