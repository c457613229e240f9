"""Nudging: the student's words exactly where the teacher's likeliest token has less than γ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scripting import model, says, shown, write_one
from tessy import Prompt, Request
from tessy.testing.scripted import Odds
from tessy.types import Finish
from tessy_cooperation.nudging import NudgingOptions, NudgingPolicy


def policy(**options: Any) -> NudgingPolicy:
    return NudgingPolicy(NudgingOptions(**options))


def unsure(p: Mapping[str, float]) -> Odds:
    """Certain of all words but these, none of whose alternatives is likelier than they are."""

    def odds(so_far: str, word: str) -> dict[str, float]:
        if word not in p:
            return {word: 1.0}
        return {word: p[word], **{f" x{i}": (1 - p[word]) / 20 for i in range(20)}}

    return odds


def test_the_student_nudges_until_the_teacher_is_sure_or_agrees(tmp_path: Path) -> None:
    student = model(
        "student",
        says(
            {
                "": " Okay, let us see",
                " Okay, let me": " think a bit",
                " Okay, let me think": " a bit more",
                " Okay, let me think a bit: 8.": "",
            }
        ),
    )
    teacher = model(
        "teacher",
        says(
            {
                # "let" is unlikely, but what the student would write next; "me" has just γ.
                " Okay,": " let me compute it",
                " Okay, let me think": " about it",
                " Okay, let me think a": " bit: 8.",
            }
        ),
        unsure({" let": 0.1, " me": 0.3, " compute": 0.29, " about": 0.2}),
    )
    trace = write_one(tmp_path / "run", policy(answer="student"), teacher, student)
    assert shown(trace) == [
        ("student", " Okay,"),
        ("teacher", " let me"),
        ("student", " think"),
        ("teacher", ""),
        ("student", " a"),
        ("teacher", " bit: 8."),  # and its end is dropped: the student ends the text
        ("student", ""),
    ]
    assert trace.turns[0].note == {"ahead": " let"}
    assert trace.turns[2].note == {"ahead": " a"}
    assert trace.turns[5].cut
    assert trace.turns[5].finish == "end_of_thinking"


def test_the_likeliest_token_counts_not_the_one_drawn(tmp_path: Path) -> None:
    def odds(so_far: str, word: str) -> dict[str, float]:
        return {word: 0.01, " likeliest": 0.5, " other": 0.49}

    student = model("student", says({"": " Go on then", " Go far away": ""}))
    teacher = model("teacher", says({" Go": " far away"}), odds)
    trace = write_one(tmp_path / "run", policy(answer="student"), teacher, student)
    assert shown(trace) == [("student", " Go"), ("teacher", " far away"), ("student", "")]


def test_a_cut_falls_between_words(tmp_path: Path) -> None:
    """The teacher is unsure in the middle of "unclear", which it writes in two tokens."""

    def script(prompt: Prompt, request: Request) -> tuple[Iterable[str], Finish]:
        return [" it", " is", " unc", "lear", " now"], "end_of_thinking"

    student = model("student", says({"": " But then we", " But it is": " fine"}))
    trace = write_one(
        tmp_path / "run", policy(answer="student"), model("teacher", script, unsure({"lear": 0.2})), student
    )
    assert shown(trace) == [("student", " But"), ("teacher", " it is"), ("student", " fine")]


def test_the_student_ends_within_a_nudge(tmp_path: Path) -> None:
    """A text of one word and its end is kept whole."""
    student = model("student", says({"": " Done."}))
    trace = write_one(tmp_path / "run", policy(answer="student"), model("teacher", says({})), student)
    assert shown(trace) == [("student", " Done.")]


def test_the_answer_begins_with_a_nudge_too(tmp_path: Path) -> None:
    student = model("student", says("", answer="It is 8."))
    teacher = model("teacher", says("", answer="It was 8."), unsure({" 8.": 0.1}))
    trace = write_one(tmp_path / "run", policy(), teacher, student)
    assert shown(trace, "answer") == [("student", " It"), ("teacher", " was"), ("student", " 8.")]
