"""SKD: a token is replaced exactly where it is not among the teacher's K likeliest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripting import model, says, shown, write_one
from tessy_cooperation.skd import SkdOptions, SkdPolicy

PLAN = " one two three four five six seven"


def policy(**options: Any) -> SkdPolicy:
    return SkdPolicy(SkdOptions(**options))


def ranked(rank: int, word: str) -> dict[str, float]:
    """A distribution over 40 words in which this one has that rank."""
    p = [(41 - i) / 1000 for i in range(1, 41)]
    own = p.pop(rank - 1)
    return {**{f" x{i}": one for i, one in enumerate(p)}, word: own}


@pytest.mark.parametrize(
    ("most", "rank", "stays"), [(25, 25, True), (25, 26, False), (3, 3, True), (3, 4, False)]
)
def test_a_token_stays_up_to_rank_k(tmp_path: Path, most: int, rank: int, stays: bool) -> None:
    teacher = model(
        "teacher",
        says({" one two three": " QUATTRO five"}),
        lambda so_far, word: ranked(rank, word) if word == " four" else ranked(1, word),
    )
    student = model("student", says({"": PLAN, " one two three QUATTRO": " five.", PLAN[:24]: PLAN[24:]}))
    made = policy(answer="student", **({} if most == 25 else {"top": most}))
    trace = write_one(tmp_path / "run", made, teacher, student)
    if stays:
        # Drafts of five tokens, as long as all of them stay.
        assert shown(trace) == [("student", " one two three four five"), ("student", " six seven")]
    else:
        assert shown(trace) == [
            ("student", " one two three"),
            ("teacher", " QUATTRO"),
            ("student", " five."),
        ]
        assert trace.turns[0].note is not None


def test_the_first_token_may_be_replaced_and_the_teachers_own_is_not_looked_at(tmp_path: Path) -> None:
    teacher = model(
        "teacher",
        says({"": " uno", " uno": " due"}),
        lambda so_far, word: ranked(1 if word == " 2" else 40, word),
    )
    student = model("student", says({"": " one", " uno": " 2"}))
    trace = write_one(tmp_path / "run", policy(answer="student"), teacher, student)
    assert shown(trace) == [("student", ""), ("teacher", " uno"), ("student", " 2")]


def test_a_token_may_be_half_a_character(tmp_path: Path) -> None:
    """Nothing of one is kept; the teacher is given room for a whole one."""
    asked: list[int | None] = []

    def script(prompt: Any, request: Any) -> Any:
        asked.append(request.turn.max_tokens)
        return ([], "length") if request.turn.max_tokens == 1 else ([" 🎉"], "end_of_thinking")

    teacher = model("teacher", script, lambda so_far, word: ranked(40, word))
    trace = write_one(
        tmp_path / "run", policy(answer="student"), teacher, model("student", says({"": " one"}))
    )
    assert shown(trace) == [("student", ""), ("teacher", ""), ("teacher", " 🎉")]
    assert asked == [1, 4]
