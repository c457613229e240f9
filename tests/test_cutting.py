"""What policies are given to decide about tokens with, and cuts that drop no more than the end."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest

from helpers import WordDetector, check_row, crew, plan, rows, run, write_prompts
from tessy.abc import Context, Options, Session, SwitchPolicy
from tessy.draft import Draft
from tessy.limits import Limits
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.trajectory import Trajectory
from tessy.types import (
    Chunk,
    Cut,
    Done,
    Keep,
    Label,
    Needs,
    Prompt,
    Request,
    TokenLogprob,
    Turn,
    Window,
)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", 2)


class StudentThinks(SwitchPolicy):
    """The student thinks and answers; the teacher goes on where the student's end was dropped."""

    needs = Needs()

    def __init__(self) -> None:
        super().__init__(Options())

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        last = trajectory.last
        if trajectory.phase == "answer":
            return Done() if trajectory.ended == "end_of_turn" else Turn("student", "answer")
        return Turn("teacher" if last is not None and last.cut else "student", checkpoint=True)


@pytest.mark.parametrize("odds", [None, lambda so_far, word: {word: 1.0}], ids=["no token", "a token"])
def test_a_cut_at_the_end_drops_the_end_alone(tmp_path: Path, prompts: Path, odds: Any) -> None:
    class GoesOn(StudentThinks):
        async def review(self, draft: Draft, context: Context) -> Keep | Cut:
            if draft.role == "student" and draft.finish == "end_of_thinking":
                return Cut(len(draft), note="not yet")
            return Keep()

    def script(prompt: Prompt, request: Request) -> tuple[str, Any]:
        if request.turn.phase == "answer":
            return " done", "end_of_turn"
        return f" {request.turn.role} thinks" * 150, "end_of_thinking"

    made = crew(
        GoesOn(),
        teacher=ScriptedBackend("teacher", script=script, odds=odds),
        student=ScriptedBackend("student", script=script, odds=odds),
    )
    assert run(plan(tmp_path / "run", prompts, made, limits=Limits(repetition=None))).done == 2
    for row in rows(tmp_path / "run"):
        check_row(row)
        spans = row["tessy"]["spans"]
        assert [(s["author"], s["phase"]) for s in spans] == [
            ("student", "think"), ("teacher", "think"), ("student", "answer"),
        ]  # fmt: skip
        assert [s["tokens"] for s in spans] == [300, 300, 1]
        thinking = row["messages"][-1]["content"].split("</think>")[0]
        assert thinking.count("student") == thinking.count("teacher") == 150
    db = sqlite3.connect(tmp_path / "run" / "journal.sqlite")
    books = "SELECT sum(generated - kept - marks - discarded), sum(discarded) FROM usage"
    assert db.execute(books).fetchone() == (0, 0 if odds is None else 2), "the end that was dropped"
    db.close()


@pytest.mark.parametrize("chunk", [1, 4])
def test_watch_is_shown_each_token_once(tmp_path: Path, prompts: Path, chunk: int) -> None:
    seen: list[tuple[str, float]] = []

    class Looks(StudentThinks):
        needs = Needs(top_logprobs={"student": 1})

        def next_turn(self, trajectory: Trajectory) -> Turn | Done:
            turn = super().next_turn(trajectory)
            return turn if isinstance(turn, Done) else Turn("student", turn.phase, top_logprobs=1)

        def watch(self, draft: Draft) -> Cut | None:
            ends = [*draft.offsets[1:], len(draft)]
            for i in draft.fresh:
                seen.append((draft.text[draft.offsets[i] : ends[i]], draft.logprobs[i].logprob))
            return None

    student = ScriptedBackend(
        "student",
        ScriptedOptions(chunk=chunk),
        script=lambda prompt, request: (
            (" one two three four five six seven", "end_of_turn")
            if request.turn.phase == "answer"
            else (" eight nine", "end_of_thinking")
        ),
        odds=lambda so_far, word: {word: 1 / (1 + len(so_far))},
    )
    run(plan(tmp_path / "run", prompts, crew(Looks(), student=student), concurrency=1))
    answer = [" one", " two", " three", " four", " five", " six", " seven", ""]
    words = [" eight", " nine", "", *answer] * 2
    assert [word for word, _ in seen] == words
    so_far = 0
    for word, logprob in seen[3 : 3 + len(answer)]:
        assert logprob == pytest.approx(-log(1 + so_far))
        so_far += len(word)


@pytest.mark.parametrize("hidden", ["logprobs", "offsets"])
def test_tokens_without_the_log_probabilities_asked_for_fail_the_row(
    tmp_path: Path, prompts: Path, hidden: str
) -> None:
    """A policy would let everything pass, and nobody would know."""

    class Hides(Session):
        async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
            yield replace(Chunk(" so", 1, (1,), (0,), logprobs=(TokenLogprob(-1.0),)), **{hidden: None})
            yield Chunk(finish="end_of_thinking")

    class Backend(ScriptedBackend):
        def session(self, prompt: Prompt, key: str) -> Session:
            return Hides()

    class Asks(StudentThinks):
        def next_turn(self, trajectory: Trajectory) -> Turn | Done:
            return Turn("student", top_logprobs=1)

    run(plan(tmp_path / "run", prompts, crew(Asks(), student=Backend("student"))))
    message = rows(tmp_path / "run", "failures.jsonl")[0]["error"]["message"]
    assert "backend 'scripted'" in message
    assert "asked for log-probabilities and sent tokens without them" in message


def test_a_review_knows_the_trace_so_far(tmp_path: Path, prompts: Path) -> None:
    drafts: list[str] = []

    class Remembers(StudentThinks):
        def next_turn(self, trajectory: Trajectory) -> Turn | Done:
            turn = super().next_turn(trajectory)
            return turn if isinstance(turn, Done) else Turn(turn.role, turn.phase, max_tokens=7)

        async def review(self, draft: Draft, context: Context) -> Keep | Cut:
            if draft.phase == "think":
                assert context.trajectory.thinking == "".join(drafts)
                drafts.append(draft.text)
            return Keep()

    assert run(plan(tmp_path / "run", write_prompts(prompts, 1), crew(Remembers()))).done == 1
    assert len(drafts) > 3


def test_a_detector_is_shown_the_prompt(tmp_path: Path, prompts: Path) -> None:
    asked: set[Prompt | None] = set()

    class Reads(WordDetector):
        async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
            asked.update(window.prompt for window in windows)
            return await super().label(windows)

    run(plan(tmp_path / "run", prompts, crew(detector=Reads(Options()))))
    assert asked == {Prompt.user("Question 0?"), Prompt.user("Question 1?")}


def test_a_score_is_asked_in_the_drafts_phase(tmp_path: Path, prompts: Path) -> None:
    """Also of the first draft of an answer whose thinking no mark has closed."""
    seen: list[tuple[str, str]] = []

    class Scores(StudentThinks):
        needs = Needs(scores=("teacher",))

        def next_turn(self, trajectory: Trajectory) -> Turn | Done:
            if trajectory.phase == "think" and trajectory.ended == "end_of_turn":
                return Turn("student", "answer")
            return super().next_turn(trajectory)

        async def review(self, draft: Draft, context: Context) -> Keep | Cut:
            await context.score("teacher", draft.text)
            return Keep()

    def odds(so_far: str, word: str) -> dict[str, float]:
        seen.append((so_far, word))
        return {word: 1.0}

    def script(prompt: Prompt, request: Request) -> tuple[str, Any]:
        return (" hmm" if request.turn.phase == "think" else " done"), "end_of_turn"

    made = crew(
        Scores(),
        teacher=ScriptedBackend("teacher", script=script, odds=odds),
        student=ScriptedBackend("student", script=script),
    )
    assert run(plan(tmp_path / "run", write_prompts(prompts, 1), made)).done == 1
    assert seen == [("", " hmm"), ("", " done")]
