"""RSD: a step of the student is replaced exactly where its reward is below the threshold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scorer import Scorer
from scripting import model, notes, says, shown, write_one
from tessy.testing import ScriptedDetector, run_virtual
from tessy.testing.suites.runs import Cast, Watcher, write
from tessy_cooperation.reward_guided import RewardGuidedOptions, RewardGuidedPolicy


def policy(**options: Any) -> RewardGuidedPolicy:
    return RewardGuidedPolicy(RewardGuidedOptions(**options))


def test_a_step_of_a_low_reward_is_the_teachers(tmp_path: Path) -> None:
    student = model(
        "student",
        says(
            {
                "": " One: 0.70\n\n",
                " One: 0.70\n\n": " Two: 0.69\n\n",
                " One: 0.70\n\n Deux: 0.10\n\n": " So 0.95",
            }
        ),
    )
    teacher = model("teacher", says({" One: 0.70\n\n": " Deux: 0.10\n\n"}))
    scorer = Scorer()
    trace = write_one(tmp_path / "run", policy(), teacher, student, scorer)
    # The teacher's own step is kept, whatever its reward.
    assert shown(trace) == [
        ("student", " One: 0.70\n\n"),
        ("student", ""),
        ("teacher", " Deux: 0.10\n\n"),
        ("student", " So 0.95"),
    ]
    assert notes(trace) == [
        {"reward": 0.7, "rejected": False},
        {"reward": 0.69, "rejected": True},
        None,
        {"reward": 0.95, "rejected": False},
    ]
    assert scorer.questions == {"Question 0?"}, "a reward model needs the question"


@pytest.mark.parametrize("words", [60, 600])
def test_the_reward_is_that_of_the_whole_step(tmp_path: Path, words: int) -> None:
    """Also where a step is longer than the stretches that a detector is shown."""
    step = " word" * words + " 0.20\n\n"
    student = model("student", says({"": step, " Better.\n\n": " So."}))
    teacher = model("teacher", says({"": " Better.\n\n"}))
    trace = write_one(tmp_path / "run", policy(), teacher, student, Scorer())
    assert shown(trace) == [("student", ""), ("teacher", " Better.\n\n"), ("student", " So.")]


def test_a_detector_that_is_no_scorer_is_refused(tmp_path: Path) -> None:
    watcher = Watcher()
    backends = {role: model(role, says(" hmm, wait, so")) for role in ("teacher", "student")}
    run_virtual(write(tmp_path / "run", Cast(policy(), backends, ScriptedDetector()), watcher, rows=1))
    (failure,) = watcher.failures
    assert "reward-guided wants a scorer (--detector)" in failure.message
