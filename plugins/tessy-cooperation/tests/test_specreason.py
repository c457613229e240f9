"""SpecReason: a step of the student is replaced exactly where the teacher's rating is below the threshold."""

from __future__ import annotations

from math import log
from pathlib import Path
from typing import Any

import pytest

from scripting import judges, model, notes, says, shown, sure, write_one
from tessy_cooperation.specreason import SpecReasonOptions, SpecReasonPolicy, rating

STUDENT = {"": " One.\n\n", " One.\n\n": " Two.\n\n", " One.\n\n Deux.\n\n": " Three."}
TEACHER = {" One.\n\n": " Deux.\n\n"}
REJECTED = [
    ("student", " One.\n\n"),
    ("student", ""),
    ("teacher", " Deux.\n\n"),
    ("student", " Three."),
]


def policy(**options: Any) -> SpecReasonPolicy:
    return SpecReasonPolicy(SpecReasonOptions(**options))


def test_a_step_rated_low_is_the_teachers(tmp_path: Path) -> None:
    ratings = {"One.\n\n": "7", "Two.\n\n": "6", "Three.": "9", " done": "8"}
    teacher = model("teacher", judges(ratings, says(TEACHER)))
    trace = write_one(tmp_path / "run", policy(), teacher, model("student", says(STUDENT)))
    assert shown(trace) == REJECTED
    assert notes(trace) == [
        {"rating": 7, "rejected": False},
        {"rating": 6, "rejected": True},
        None,
        {"rating": 9, "rejected": False},
    ]
    assert trace.turns[-1].note == {"rating": 8, "rejected": False}, "the answer is rated too"


@pytest.mark.parametrize(
    ("top", "greedy", "average"),
    [
        # 0.5 * 6 + 0.3 * 9 + 0.2 * 8 = 7.3
        ({"6": 0.5, "9": 0.3, "8": 0.2}, 6, 7.3),
        # What is no digit does not count: (0.3 * 9 + 0.2 * 8) / 0.5 = 8.6
        ({"The": 0.5, "9": 0.3, " 8": 0.2}, 9, 8.6),
        # One digit in two spellings, 0.35 against 0.3: (0.35 * 2 + 0.3 * 9) / 0.65 = 5.23
        ({"10": 0.35, "9": 0.3, "2": 0.2, " 2": 0.15}, 2, 3.4 / 0.65),
        ({"no": 0.6, "yes": 0.4}, 0, 0),
    ],
)
def test_the_rating_is_the_likeliest_digit_or_the_mean(
    top: dict[str, float], greedy: float, average: float
) -> None:
    listed = [(token, log(p)) for token, p in top.items()]
    assert rating(listed, "greedy") == greedy
    assert rating(listed, "average") == pytest.approx(average)


def test_the_mean_may_keep_what_the_likeliest_digit_rejects(tmp_path: Path) -> None:
    top = {"6": 0.5, "9": 0.3, "8": 0.2}
    ratings = {"One.\n\n": "9", "Two.\n\n": "6", "Three.": "9", "done": "9"}
    teacher = model(
        "teacher", judges(ratings, says(TEACHER)), lambda so_far, word: top if word == "6" else {word: 1.0}
    )
    student = model("student", says({**STUDENT, " One.\n\n Two.\n\n": " Three."}))
    assert shown(write_one(tmp_path / "greedy", policy(), teacher, student)) == REJECTED
    trace = write_one(tmp_path / "average", policy(rating="average"), teacher, student)
    assert shown(trace) == [("student", step) for step in (" One.\n\n", " Two.\n\n", " Three.")]
    assert trace.turns[1].note == {"rating": pytest.approx(7.3), "rejected": False}


def test_the_judge_sees_the_question_and_all_that_is_written(tmp_path: Path) -> None:
    asked: list[list[tuple[str, str]]] = []

    def script(prompt: Any, request: Any) -> Any:
        if prompt.messages[-1].content.startswith("Rate "):
            asked.append([(m.role, m.content) for m in prompt.messages[:-1]])
            assert request.turn.max_tokens == 1
            return "9", "end_of_turn"
        return says(TEACHER)(prompt, request)

    student = model("student", says({"": " One.\n\n", " One.\n\n": " Two."}))
    write_one(tmp_path / "run", policy(answer="student"), model("teacher", script), student)
    question = ("user", "Question 0?")
    assert asked == [
        [question, ("assistant", " One.\n\n")],
        [question, ("assistant", " One.\n\n Two.")],
    ]


def test_a_step_that_ends_the_thinking_may_be_rejected_with_its_end(tmp_path: Path) -> None:
    ratings = {"So 9.": "0", "So 8.": "9", "done": "9"}
    student = model("student", says({"": " So 9.", " Wait.\n\n": " So 8."}), sure())
    teacher = model("teacher", judges(ratings, says({"": " Wait.\n\n"})))
    trace = write_one(tmp_path / "run", policy(), teacher, student)
    assert shown(trace) == [("student", ""), ("teacher", " Wait.\n\n"), ("student", " So 8.")]


def test_blank_steps_are_not_rated(tmp_path: Path) -> None:
    student = model("student", says({"": "\n\n", "\n\n": ""}))
    trace = write_one(
        tmp_path / "run", policy(answer="student"), model("teacher", judges({}, says(""))), student
    )
    assert notes(trace) == [None, None]
