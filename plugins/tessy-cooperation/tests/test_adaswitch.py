"""AdaSwitch: the teacher takes over exactly where KL(teacher ‖ student) exceeds K times its average."""

from __future__ import annotations

from math import log
from pathlib import Path
from typing import Any

import pytest

from scripting import model, notes, says, shown, write_one
from tessy.testing.suites.runs import Trace
from tessy_cooperation.adaswitch import AdaSwitchOptions, AdaSwitchPolicy

PLAN = " a b c d e f g h i j"
TEACHER = {"a": 0.60, "b": 0.65, "c": 0.60, "d": 0.70, "e": 0.60, "f": 0.65, "g": 0.72, "h": 0.74}
"""The teacher's probability of each word; the student's is 0.5 everywhere."""


def kl(p: float) -> float:
    return p * log(p / 0.5) + (1 - p) * log((1 - p) / 0.5)


def odds(p: dict[str, float]) -> Any:
    return lambda so_far, word: {word: (own := p.get(word.strip(), 0.6)), " x": 1 - own}


def run(folder: Path, factor: float, window: int = 3, **options: Any) -> Trace:
    made = AdaSwitchPolicy(AdaSwitchOptions(factor=factor, window=window, **{"block": 4, **options}))
    student = model("student", says(PLAN), odds(dict.fromkeys("abcdefghij", 0.5)))
    teacher = model("teacher", says(" A B C D E F G H I J", answer="It is 8."), odds(TEACHER))
    return write_one(folder, made, teacher, student)


def ratio(i: int, window: int) -> float:
    """How far the divergence at word ``i`` is above the mean of those before it."""
    d = [kl(p) for p in TEACHER.values()]
    return d[i] / (sum(d[i - window : i]) / window)


def test_the_switch_is_where_the_formula_has_it(tmp_path: Path) -> None:
    # Of three before it: d 2.87 times the mean, e 0.41, f 1.12, g 2.03, h 2.17.
    of_three = [ratio(i, 3) for i in range(3, 8)]
    assert [round(one, 2) for one in of_three] == [2.87, 0.41, 1.12, 2.03, 2.17]
    for factor, kept in ((2.86, " a b c"), (2.88, PLAN), (1.5, " a b c")):
        assert by_student(run(tmp_path / f"{factor}", factor)) == kept
    # Of four before it: e 0.48 times the mean, f 1.09, g 2.38, h 1.93; d has only three before it.
    of_four = [ratio(i, 4) for i in range(4, 8)]
    assert [round(one, 2) for one in of_four] == [0.48, 1.09, 2.38, 1.93]
    for factor, kept in ((2.37, " a b c d e f"), (2.39, PLAN), (1.0, " a b c d e")):
        assert by_student(run(tmp_path / f"four{factor}", factor, window=4)) == kept


def by_student(trace: Trace) -> str:
    return "".join(text for role, text in shown(trace) if role == "student")


@pytest.mark.parametrize("torn", [False, True])
def test_the_average_is_remembered_across_turns(tmp_path: Path, torn: bool) -> None:
    """Blocks of two: the window of three reaches back over several turns, and over interruptions."""
    p = {"a": 0.6, "b": 0.6, "c": 0.6, "d": 0.6, "e": 0.7}
    made = AdaSwitchPolicy(AdaSwitchOptions(factor=3, window=3, block=2))
    student = model("student", says(PLAN), odds(dict.fromkeys("abcdefghij", 0.5)))
    teacher = model("teacher", says({" a b c d": " E is mine."}, answer="It is 8."), odds(p))
    assert kl(0.7) / kl(0.6) > 3
    trace = write_one(tmp_path / "run", made, teacher, student, torn=torn)
    assert shown(trace) == [
        ("student", " a b"),
        ("student", " c d"),
        ("student", ""),
        ("teacher", " E is mine."),
    ]
    near = pytest.approx(kl(0.6))
    assert notes(trace) == [
        {"recent": [near, near]},
        {"recent": [near, near, near]},
        {"divergence": pytest.approx(kl(0.7)), "recent": [near, near, near]},
        None,
    ]
    assert shown(trace, "answer") == [("teacher", " It is 8.")], "there is one switch, and no way back"


def test_a_small_divergence_need_not_switch(tmp_path: Path) -> None:
    assert by_student(run(tmp_path / "a", 2.0)) == " a b c"
    calm = run(tmp_path / "b", 2.0, least=kl(0.74) + 1e-9)
    assert {role for role, _ in shown(calm)} == {"student"}
