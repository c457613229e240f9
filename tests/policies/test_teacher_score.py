from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from helpers import check_row, plan, rows, run, write_prompts
from policies.stage import FORM, crew, policy, write
from tessy.crew import Crew
from tessy.errors import BackendRejected
from tessy.policies.teacher_score import TeacherScoreOptions
from tessy.types import Prompt, Request

Verdict = Callable[[int], str]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", 1)


class Judge:
    """Replies to the n-th candidate that it is shown as it is told, and remembers what it was asked."""

    def __init__(self, *replies: str | Exception, **options: Any) -> None:
        self.replies = replies
        self.policy = policy("teacher-score", candidates=len(replies), **options)
        self.asked: list[tuple[Prompt, Request]] = []
        self.seen: list[str] = []

    def __call__(self, prompt: Prompt, request: Request) -> str:
        self.asked.append((prompt, request))
        question = prompt.messages[0].content
        if question not in self.seen:
            self.seen.append(question)
        reply = self.replies[self.seen.index(question) % len(self.replies)]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def crew(self, **options: Any) -> Crew:
        return crew(self.policy, self, **options)


def selected(row: dict[str, Any]) -> tuple[int, list[int | None]]:
    """Which candidate, and everybody's score."""
    said = row["tessy"]["selected"]
    assert [one["candidate"] for one in said["note"]["scores"]] == list(range(len(said["note"]["scores"])))
    return said["candidate"], [one["score"] for one in said["note"]["scores"]]


def test_the_best_candidate_becomes_the_row(tmp_path: Path, prompts: Path) -> None:
    judge = Judge("Score: 3", "Better.\n\nScore: 9", "Score: 8")
    _, (row,) = write(tmp_path / "run", prompts, judge.crew())
    check_row(row)
    assert selected(row) == (1, [3, 9, 8])
    assert "candidates" not in row["tessy"]
    # What the teacher was shown is what the student wrote.
    content = row["messages"][-1]["content"].removeprefix("<think>\n")
    thinking, answer = content.split("\n</think>\n\n")
    assert f"<reasoning>\n{thinking}\n</reasoning>\n\n<answer>\n{answer}\n</answer>" in judge.seen[1]
    assert f"<task>\n{row['prompt']}\n</task>" in judge.seen[1]
    assert all(len(prompt.messages) == 1 for prompt, _ in judge.asked)


def test_the_others_are_shown_on_request(tmp_path: Path, prompts: Path) -> None:
    judge = Judge("Score: 3", "Score: 9", "Score: 8", keep_others=True)
    _, (row,) = write(tmp_path / "run", prompts, judge.crew())
    assert [other["candidate"] for other in row["tessy"]["candidates"]] == [0, 2]
    texts = [row["messages"][-1]["content"], *(other["content"] for other in row["tessy"]["candidates"])]
    assert len(set(texts)) == 3


def test_of_equals_the_first_the_shortest_or_one_by_the_seed(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", 12)
    chosen: dict[str, list[int]] = {}
    for ties in ("first", "shorter", "random"):
        judge = Judge("Score: 5", "Score: 5", "Score: 5", "Score: 4", ties=ties, keep_others=True)
        _, data = write(tmp_path / ties, prompts, judge.crew(), concurrency=1)
        chosen[ties] = [selected(row)[0] for row in data]
        for row in data if ties == "shorter" else ():
            tokens = {row["tessy"]["selected"]["candidate"]: row["tessy"]["tokens"]["student"]}
            tokens |= {other["candidate"]: other["tokens"]["student"] for other in row["tessy"]["candidates"]}
            assert tokens[row["tessy"]["selected"]["candidate"]] == min(tokens[n] for n in range(3))
    assert set(chosen["first"]) == {0}
    assert set(chosen["random"]) == {0, 1, 2}
    _, again = write(tmp_path / "again", prompts, Judge(*["Score: 5"] * 4, ties="random").crew())
    assert len({selected(row)[0] for row in again}) > 1


def test_a_judge_that_talks_nonsense_is_reminded_of_the_form(tmp_path: Path, prompts: Path) -> None:
    class Forgetful(Judge):
        def __call__(self, prompt: Prompt, request: Request) -> str:
            said = super().__call__(prompt, request)
            return said if len(prompt.messages) == 3 else "I would say about eight of ten."

    judge = Forgetful("Score: 8", "Score: 2")
    _, (row,) = write(tmp_path / "run", prompts, judge.crew())
    assert selected(row) == (0, [8, 2])
    question, said, reminder = judge.asked[1][0].messages
    assert question.content == judge.seen[0]
    assert (said.role, said.content) == ("assistant", "I would say about eight of ten.")
    assert reminder.content.endswith("\n\nScore: N")
    assert len({request.seed for _, request in judge.asked}) == 4


def test_a_candidate_without_a_score_is_passed_over(tmp_path: Path, prompts: Path) -> None:
    judge = Judge("No.", "Score: 2", BackendRejected("too long"), tries=2)
    _, (row,) = write(tmp_path / "run", prompts, judge.crew())
    assert selected(row) == (1, [None, 2, None])
    assert Counter(prompt.messages[0].content for prompt, _ in judge.asked) == dict(
        zip(judge.seen, (2, 1, 1), strict=True)
    )


def test_a_judge_that_never_gives_a_score_fails_the_row_with_what_it_said(
    tmp_path: Path, prompts: Path
) -> None:
    judge = Judge("It is fine.", "It is\nfine, too.", tries=4)
    outcome, _ = write(tmp_path / "run", prompts, judge.crew())
    assert outcome.failed == 1
    (row,) = rows(tmp_path / "run", "failures.jsonl")
    assert row["error"]["reason"] == "no_score"
    assert row["error"]["message"] == ("the teacher gave no candidate a score; it said: 'It is\\nfine, too.'")
    assert len(judge.asked) == 8
    # Tried again, the candidates are there; the teacher alone is asked.
    judge.replies = ("Score: 1", "Score: 1")
    before = _spans(tmp_path / "run")
    assert run(plan(tmp_path / "run", prompts, judge.crew(), retry_failed=True)).done == 1
    assert _spans(tmp_path / "run") == before
    assert selected(rows(tmp_path / "run")[0]) == (0, [1, 1])


def test_a_verdict_that_was_cut_off_is_none(tmp_path: Path, prompts: Path) -> None:
    judge = Judge("Score: 1 0", "On the whole:\nScore: 9", max_tokens=2, tries=1)
    outcome, _ = write(tmp_path / "run", prompts, judge.crew())
    assert outcome.failed == 1


@pytest.mark.parametrize("think", [True, False])
def test_the_teacher_thinks_first_or_not(tmp_path: Path, prompts: Path, think: bool) -> None:
    judge = Judge("Score: 1", "Score: 2", think=think)
    write(tmp_path / "run", prompts, judge.crew())
    assert {request.thinking for _, request in judge.asked} == {" weighing" if think else ""}


def test_a_rubric_of_ones_own(tmp_path: Path, prompts: Path) -> None:
    rubric = f"How short is {{answer}}?\n{FORM.replace('N', '{score}')}!"
    judge = Judge("Score: 1!", "Score: 2!", rubric=rubric)
    _, (row,) = write(tmp_path / "run", prompts, judge.crew())
    assert selected(row) == (1, [1, 2])
    assert re.fullmatch(r"How short is  ?a\d.*\?\nScore: N!", judge.seen[0])


def test_what_it_cost_is_booked_by_what_it_was_for(tmp_path: Path, prompts: Path) -> None:
    write(tmp_path / "run", prompts, Judge("Score: 1", "Score: 2").crew())
    db = sqlite3.connect(tmp_path / "run" / "journal.sqlite")
    booked = db.execute("SELECT role, purpose, sum(kept) > 0 FROM usage GROUP BY 1, 2 ORDER BY 1, 2")
    assert booked.fetchall() == [("student", "candidate", 0), ("student", "turn", 1), ("teacher", "judge", 0)]
    db.close()


@pytest.mark.parametrize(
    "options",
    [
        {"candidates": 1},
        {"candidates": 0},
        {"candidates": "many"},
        {"tries": 0},
        {"max_tokens": 0},
        {"ties": "last"},
        {"rubric": "Is it good?"},
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        TeacherScoreOptions(**options)


def _spans(folder: Path) -> list[Any]:
    db = sqlite3.connect(folder / "journal.sqlite")
    found = db.execute("SELECT candidate, seq, text FROM spans ORDER BY 1, 2").fetchall()
    db.close()
    return found
