"""Speculative Thinking: the teacher takes over exactly where the opening of a step has a keyword."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripting import model, notes, says, shown, write_one
from tessy_cooperation.speculative_thinking import (
    SpeculativeThinkingOptions,
    SpeculativeThinkingPolicy,
)


def policy(**options: Any) -> SpeculativeThinkingPolicy:
    return SpeculativeThinkingPolicy(SpeculativeThinkingOptions(answer="student", **options))


def words(n: int, name: str) -> str:
    return "".join(f" {name}{i}" for i in range(n))


@pytest.mark.parametrize(("before", "taken"), [(0, True), (19, True), (20, False)])
def test_a_keyword_counts_within_the_first_twenty_tokens(tmp_path: Path, before: int, taken: bool) -> None:
    first, step = " First.\n\n", f"{words(before, 'w')} wait, no.\n\n"
    student = model(
        "student",
        says(
            {
                "": first,
                first: step,
                first + step: " End.",
                f"{first}{words(19, 't')}": " then.",
            }
        ),
    )
    teacher = model("teacher", says({first: words(40, "t")}))
    trace = write_one(tmp_path / "run", policy(), teacher, student)
    if taken:
        assert shown(trace) == [
            ("student", first),
            ("student", ""),
            ("teacher", words(19, "t")),  # twenty tokens, without the last word, which may be half a word
            ("student", " then."),
        ]
    else:
        assert shown(trace) == [("student", first), ("student", step), ("student", " End.")]


def test_the_first_step_is_not_looked_at_nor_the_rest_of_one_taken_over(tmp_path: Path) -> None:
    student = model(
        "student", says({"": " Wait.\n\n", " Wait.\n\n": " Yes.", " Wait.\n\n a b c": " wait, yes."})
    )
    teacher = model("teacher", says({" Wait.\n\n": " a b c d e"}))
    trace = write_one(tmp_path / "run", policy(opening=4), teacher, student)
    assert shown(trace) == [
        ("student", " Wait.\n\n"),
        ("student", ""),
        ("teacher", " a b c"),
        ("student", " wait, yes."),
    ]


def test_a_teacher_that_checks_goes_on(tmp_path: Path) -> None:
    student = model(
        "student", says({"": " A.\n\n", " A.\n\n": " Hold on", " A.\n\n let me check c1 c2 c3": " so."})
    )
    teacher = model(
        "teacher",
        says({" A.\n\n": " let me check that", " A.\n\n let me check": " c1 c2 c3 c4 c5"}),
    )
    trace = write_one(tmp_path / "run", policy(opening=4, check=4), teacher, student)
    assert shown(trace) == [
        ("student", " A.\n\n"),
        ("student", ""),
        ("teacher", " let me check"),
        ("teacher", " c1 c2 c3"),
        ("student", " so."),
    ]
    assert [note["then"] for note in notes(trace)] == ["open", "take over", "check", "go on", "go on"]


def test_after_many_doubts_the_teacher_writes_a_stretch(tmp_path: Path) -> None:
    """Two doubts, then a stretch of three tokens; three more for the next, which has four."""

    def student(prompt: Any, request: Any) -> Any:
        if request.turn.phase == "answer":
            return " done", "end_of_turn"
        so_far = request.thinking
        if so_far.count("long") == 5:
            return " End.", "end_of_thinking"
        return (" wait\n\n" if so_far.endswith("\n\n") else " s.\n\n"), "end_of_thinking"

    def teacher(prompt: Any, request: Any) -> Any:
        asked.append(request.turn.max_tokens)
        return (" hmm wait x" if request.turn.max_tokens == 2 else " long" * 9), "end_of_thinking"

    asked: list[int] = []
    options = {"opening": 2, "doubts": 2, "doubts_more": 1, "stretch": 3, "stretch_more": 1}
    # The last word of each of the teacher's pieces is dropped; "wait" would be, so it writes one word more.
    made = policy(**options)
    trace = write_one(tmp_path / "run", made, model("teacher", teacher), model("student", student))
    doubts = [note["doubts"] for note in notes(trace)]
    assert asked == [2, 2, 3, 2, 2, 2, 4]
    assert max(doubts) == 3
    assert notes(trace)[-1] == {"then": "go on", "doubts": 0, "stretches": 2}


@pytest.mark.parametrize(
    ("said", "doubtful"),
    [("wait x", True), ("yes x", False), ("yes wait x", True), ("yes yes wait x", False), ("so x", False)],
)
def test_doubts_are_counted_in_what_the_teacher_says(tmp_path: Path, said: str, doubtful: bool) -> None:
    """More words of doubt or checking than of confidence, or as many."""
    student = model("student", says({"": " A.\n\n", " A.\n\n": " Wait", f" A.\n\n {said[:-2]}": " so."}))
    teacher = model("teacher", says({" A.\n\n": f" {said}"}))
    trace = write_one(tmp_path / "run", policy(opening=len(said.split())), teacher, student)
    assert notes(trace)[2] == {"then": "go on", "doubts": int(doubtful), "stretches": 0}
