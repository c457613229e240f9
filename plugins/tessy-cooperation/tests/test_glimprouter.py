"""GlimpRouter: a step is the teacher's exactly where the entropy of its first token reaches the threshold."""

from __future__ import annotations

from math import exp
from pathlib import Path
from typing import Any

import pytest

from scripting import model, nats, notes, says, shown, write_one
from tessy_cooperation.glimprouter import GlimpRouterOptions, GlimpRouterPolicy

STUDENT = {
    "": " One is sure.\n\n",
    " One is sure.\n\n": " Two or so.\n\n",
    " One is sure.\n\n Deux.\n\n": " Three.",
}


def policy(**options: Any) -> GlimpRouterPolicy:
    return GlimpRouterPolicy(GlimpRouterOptions(**options))


def flat(n: int, word: str) -> dict[str, float]:
    """As unsure as can be: n words of one probability, and an entropy of log n."""
    return {word: 1 / n, **{f" x{i}": 1 / n for i in range(1, n)}}


def odds(so_far: str, word: str) -> dict[str, float]:
    if word == " One":
        return flat(2, word)  # 0.69 nats
    if word == " Two":
        return flat(3, word)  # 1.10 nats
    # Inside a step nothing is looked at.
    return flat(9, word) if so_far.split()[-1:] in (["One"], ["is"]) else {word: 1.0}


def test_the_first_token_alone_decides(tmp_path: Path) -> None:
    student = model("student", says(STUDENT), odds)
    teacher = model("teacher", says({" One is sure.\n\n": " Deux.\n\n"}, answer="It is 8."))
    trace = write_one(tmp_path / "run", policy(), teacher, student)
    assert shown(trace) == [
        ("student", " One is sure.\n\n"),
        ("student", ""),
        ("teacher", " Deux.\n\n"),
        ("student", " Three."),
    ]
    assert notes(trace) == [None, {"entropy": pytest.approx(nats(1 / 3, 1 / 3, 1 / 3))}, None, None]
    assert shown(trace, "answer") == [("teacher", " It is 8.")], "the large model answers, as in the paper"


def test_only_so_many_alternatives_count(tmp_path: Path) -> None:
    """Of p = 0.6, 0.3, 0.1 the first two, taken for all there are: 2/3 and 1/3."""

    def odds(so_far: str, word: str) -> dict[str, float]:
        return {word: 0.6, " a": 0.3, " b": 0.1} if not so_far else {word: 1.0}

    found = nats(2 / 3, 1 / 3)
    assert exp(found) < 2
    student, teacher = model("student", says(" One."), odds), model("teacher", says(" One."))
    above = write_one(tmp_path / "above", policy(threshold=found - 1e-9, alternatives=2), teacher, student)
    assert shown(above) == [("student", ""), ("teacher", " One.")]
    below = write_one(tmp_path / "below", policy(threshold=found + 1e-9, alternatives=2), teacher, student)
    assert shown(below) == [("student", " One.")]


def test_an_end_for_a_first_token_is_looked_at_too(tmp_path: Path) -> None:
    def odds(so_far: str, word: str) -> dict[str, float]:
        return flat(3, word) if so_far == " One.\n\n" else {word: 1.0}

    student = model("student", says({"": " One.\n\n", " One.\n\n": ""}), odds)
    teacher = model("teacher", says({" One.\n\n": " So 8."}))
    trace = write_one(tmp_path / "run", policy(), teacher, student)
    assert shown(trace) == [("student", " One.\n\n"), ("student", ""), ("teacher", " So 8.")]


def test_a_step_that_grows_too_long_ends_between_words(tmp_path: Path) -> None:
    student = model("student", says(" one two three four five"))
    trace = write_one(tmp_path / "run", policy(step_tokens=3), model("teacher", says("")), student)
    assert shown(trace) == [("student", " one two"), ("student", " three four"), ("student", " five")]
