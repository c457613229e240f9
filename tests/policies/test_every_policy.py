"""What holds for every policy that is shipped."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from helpers import check_row, on_virtual_time, plan, rows, write_prompts
from policies.stage import POLICIES, authors, crew, policy, write
from tessy.dataset import DATA
from tessy.errors import ConfigError
from tessy.execution import execute
from tessy.observer import Observer
from tessy.policies.isolation import IsolatingPolicy
from tessy.testing import ScriptedBackend

WRITERS = {
    "tessy": ({"teacher", "student"}, {"student"}),
    "teacher-only": ({"teacher"}, {"teacher"}),
    "student-only": ({"student"}, {"student"}),
    "teacher-think": ({"teacher"}, {"student"}),
    "teacher-answer": ({"student"}, {"teacher"}),
    "teacher-reference": ({"student"}, {"student"}),
    "teacher-score": ({"student"}, {"student"}),
}
"""Who thinks and who answers, in every row; of ``teacher-mix`` it depends on the row."""


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", 6)


def test_these_are_the_policies() -> None:
    assert set(POLICIES) == {*WRITERS, "teacher-mix"}


@pytest.mark.parametrize("name", POLICIES)
def test_every_character_has_the_author_that_it_should(tmp_path: Path, prompts: Path, name: str) -> None:
    outcome, data = write(tmp_path / "run", prompts, crew(policy(name)))
    assert (outcome.done, outcome.failed) == (6, 0)
    for row in data:
        check_row(row)
        wrote = authors(row, "think"), authors(row, "answer")
        assert wrote == WRITERS.get(name, wrote)
        assert row["messages"][:-1] == [{"role": "user", "content": row["prompt"]}]


@pytest.mark.parametrize("name", POLICIES)
def test_resumed_anywhere_it_ends_in_the_same_bytes(tmp_path: Path, prompts: Path, name: str) -> None:
    options: dict[str, Any] = {"think": 300, "delay": 0.01}
    write(tmp_path / "whole", prompts, crew(policy(name), **options))
    random_ = random.Random(5)
    kills = 0

    async def interrupted(after: float) -> bool:
        made = crew(policy(name), **options)
        running = asyncio.ensure_future(
            execute(plan(tmp_path / "torn", prompts, made, concurrency=4), Observer())
        )
        asyncio.get_running_loop().call_later(after, running.cancel)
        await asyncio.wait((running,))
        backends = [b for b in made.backends.values() if isinstance(b, ScriptedBackend)]
        assert all(backend.running == backend.sessions == 0 for backend in backends)
        return running.cancelled()

    # Long enough for a question to be answered: one that is broken off is asked anew.
    while on_virtual_time(interrupted(random_.uniform(4, 6))):
        kills += 1
    assert kills >= 1
    assert (tmp_path / "torn" / DATA).read_bytes() == (tmp_path / "whole" / DATA).read_bytes()


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize(("on_eos", "done"), [("fail", 0), ("answer", 6)])
def test_an_end_of_turn_inside_the_thinking(
    tmp_path: Path, prompts: Path, name: str, on_eos: str, done: int
) -> None:
    options = (
        {"think": False} if name == "teacher-reference" else {}
    )  # a teacher that can't finish its thought
    outcome, data = write(
        tmp_path / "run", prompts, crew(policy(name, on_eos=on_eos, **options), ends="turn")
    )
    assert (outcome.done, outcome.failed) == (done, 6 - done)
    for row in data:
        check_row(row)
        wrote = authors(row, "think"), authors(row, "answer")
        assert wrote == WRITERS.get(name, wrote)
    for row in rows(tmp_path / "run", "failures.jsonl"):
        assert row["error"]["reason"] == "ended_in_thinking"


@pytest.mark.parametrize("name", POLICIES)
def test_only_who_must_continue_is_asked_to_be_able_to(name: str) -> None:
    continues = {"tessy": {"teacher", "student"}, "teacher-think": {"student"}, "teacher-answer": {"teacher"}}
    needs = policy(name).needs
    assert set(needs.continues) == continues.get(name, set())
    assert needs.labels == (name == "tessy")


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_isolates(tmp_path: Path, prompts: Path, name: str) -> None:
    made = policy(name, system="You are new.")
    assert isinstance(made, IsolatingPolicy)
    _, isolated = write(tmp_path / "isolated", prompts, crew(made))
    _, plain = write(tmp_path / "plain", prompts, crew(policy(name)))
    for row, other in zip(isolated, plain, strict=True):
        assert row["messages"][0] == {"role": "system", "content": "You are new."}
        assert row["messages"][1:] == other["messages"], "the models have not seen it"


@pytest.mark.parametrize("name", POLICIES)
def test_a_system_prompt_for_who_is_not_shown_the_prompt_is_refused(name: str) -> None:
    shown = {"student-only": "student", "teacher-only": "teacher", "teacher-score": "student"}.get(name)
    for role in ("teacher", "student"):
        if shown in (role, None):
            policy(name, system="You are new.", system_for=role)
        else:
            with pytest.raises(ConfigError, match=f"the {role} is not shown the prompt here, the {shown} is"):
                policy(name, system="You are new.", system_for=role)
