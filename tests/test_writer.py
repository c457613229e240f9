"""One trajectory at a time: policies that behave and policies that do not."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers import Plain, WordDetector, check_row, crew, plan, rows, run, write_prompts
from tessy.abc import Capabilities, Context, Options, Session, SwitchPolicy
from tessy.draft import Draft
from tessy.errors import BackendUnavailable, ConfigError, ContinuationUnsupported
from tessy.limits import Limits
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.trajectory import Trajectory
from tessy.types import (
    Chunk,
    Cut,
    Done,
    Keep,
    Message,
    Needs,
    Prepared,
    Prompt,
    Reply,
    Request,
    Turn,
)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", 2)


def failure(tmp_path: Path, prompts: Path, policy: SwitchPolicy, **options: Any) -> dict[str, Any]:
    outcome = run(plan(tmp_path / "run", prompts, crew(policy, **options)))
    assert outcome.failed == 2
    error: dict[str, Any] = rows(tmp_path / "run", "failures.jsonl")[0]["error"]
    return error


def test_a_stop_string_ends_the_turn_behind_it(tmp_path: Path, prompts: Path) -> None:
    seen: list[str] = []

    class Stops(Plain):
        def next_turn(self, trajectory: Trajectory) -> Turn | Done:
            turn = super().next_turn(trajectory)
            if isinstance(turn, Done) or trajectory.phase == "answer":
                return turn
            return Turn("student", stop=("wait,", "so c"))

        async def review(self, draft: Draft, context: Context) -> Keep | Cut:
            seen.append(draft.text)
            assert draft.finish in ("stop", "end_of_thinking", "length", "end_of_turn")
            return Keep()

    for chunk in (1, 3):
        outcome = run(plan(tmp_path / f"run{chunk}", prompts, crew(Stops(), chunk=chunk)))
        assert outcome.done == 2
        for row in rows(tmp_path / f"run{chunk}"):
            check_row(row)
    stopped = [text for text in seen if text.endswith(("wait,", "so c"))]
    assert len(stopped) > 4
    assert all(text.count("wait,") <= 1 for text in seen)
    assert (tmp_path / "run1/data.jsonl").read_bytes() == (tmp_path / "run3/data.jsonl").read_bytes()


def test_review_may_reject_a_draft_and_its_note_is_remembered(tmp_path: Path, prompts: Path) -> None:
    class Rejects(Plain):
        def next_turn(self, trajectory: Trajectory) -> Turn | Done:
            last = trajectory.last
            if last is not None and last.note == {"rejected": True}:
                return Turn("teacher", max_tokens=5)
            return super().next_turn(trajectory)

        async def review(self, draft: Draft, context: Context) -> Keep | Cut:
            if draft.role == "student" and draft.phase == "think" and draft.finish == "length":
                return Cut(0, {"rejected": True})
            return Keep()

    run(plan(tmp_path / "run", prompts, crew(Rejects())))
    for row in rows(tmp_path / "run"):
        check_row(row)
        think = [s for s in row["tessy"]["spans"] if s["phase"] == "think"]
        assert {s["author"] for s in think[:-1]} == {"teacher"}


def test_a_policy_may_ask_draft_and_prepare(tmp_path: Path, prompts: Path) -> None:
    class Asks(Plain):
        async def prepare(self, prompt: Prompt, context: Context) -> Prepared:
            reference = await context.ask("teacher", prompt.messages, purpose="reference")
            shown = Prompt.user(f"{prompt.messages[0].content} (see {reference.text})")
            return Prepared({"student": shown}, (Message("user", "stored"),), {"reference": reference.text})

        async def review(self, draft: Draft, context: Context) -> Keep | Cut:
            if draft.phase == "think":
                chunks = await context.draft(Turn("teacher", max_tokens=3))
                assert 1 <= sum(chunk.tokens for chunk in chunks) <= 3
            return Keep()

    run(plan(tmp_path / "run", prompts, crew(Asks())))
    for row in rows(tmp_path / "run"):
        assert row["messages"][0]["content"] == "stored"
        assert len(row["tessy"]["prepared"]["reference"].split()) == 8
    db = sqlite3.connect(tmp_path / "run" / "journal.sqlite")
    booked = dict(db.execute("SELECT purpose, sum(generated) FROM usage GROUP BY purpose"))
    db.close()
    assert booked["reference"] == 16
    assert booked["draft"] > 20


def test_a_question_has_its_limits_and_an_endless_thinking_no_answer(tmp_path: Path, prompts: Path) -> None:
    replies: list[Reply] = []

    class Asks(Plain):
        async def prepare(self, prompt: Prompt, context: Context) -> Prepared:
            for think, most in ((True, None), (True, 3), (False, None)):
                replies.append(await context.ask("teacher", prompt.messages, think=think, max_tokens=most))
            return Prepared()

    # Sixty words of thinking and eight of answer, where a trace may have seventy, or fifty, or five.
    for longest in (70, 50, 5):
        run(plan(tmp_path / str(longest), prompts, crew(Asks()), limits=Limits(max_length=longest), limit=1))
    whole, short, plain = replies[:3]
    assert [reply.finish for reply in (whole, short, plain)] == ["end_of_turn", "length", "end_of_turn"]
    assert [len(reply.text.split()) for reply in (whole, short, plain)] == [8, 3, 8]
    assert len(whole.thinking.split()) == len(short.thinking.split()) > 50
    for cut_off in (*replies[3:5], *replies[6:8]):
        assert (cut_off.text, cut_off.finish) == ("", "length")
    assert [len(reply.thinking.split()) for reply in replies[3::3]] == [50, 5]
    assert len(replies[8].text.split()) == 5


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ("nonsense", "neither a Turn nor Done"),
        (Turn("judge"), "wants role 'judge'; its roles are teacher, student"),
        (RuntimeError("boom"), "failed in next_turn: RuntimeError: boom"),
    ],
)
def test_nonsense_ends_the_trajectory_and_names_the_policy(
    tmp_path: Path, prompts: Path, turn: Any, message: str
) -> None:
    class Bad(Plain):
        def next_turn(self, trajectory: Trajectory) -> Turn | Done:
            if isinstance(turn, Exception):
                raise turn
            return turn  # type: ignore[no-any-return]

    error = failure(tmp_path, prompts, Bad())
    assert error["reason"] == "plugin"
    assert message in error["message"]
    assert "policy 'Bad' (package tests)" in error["message"]


@pytest.mark.parametrize("cut", [Cut(10_000), Cut(-1), "3", Cut(0, note={1, 2})])
def test_an_impossible_cut_ends_the_trajectory(tmp_path: Path, prompts: Path, cut: Any) -> None:
    class Bad(Plain):
        def watch(self, draft: Draft) -> Cut | None:
            return cut  # type: ignore[no-any-return]

    error = failure(tmp_path, prompts, Bad())
    assert error["reason"] == "plugin"
    assert "policy 'Bad' (package tests)" in error["message"]


def test_a_policy_without_progress_is_stopped(tmp_path: Path, prompts: Path) -> None:
    class Idle(Plain):
        def watch(self, draft: Draft) -> Cut | None:
            return Cut(0)

    assert failure(tmp_path, prompts, Idle())["reason"] == "no_progress"


def test_one_bad_trajectory_leaves_the_others_alone(tmp_path: Path, prompts: Path) -> None:
    class Picky(Plain):
        def next_turn(self, trajectory: Trajectory) -> Turn | Done:
            if trajectory.row == "p0" and len(trajectory.turns) == 2:
                raise ValueError("not this one")
            return super().next_turn(trajectory)

    outcome = run(plan(tmp_path / "run", prompts, crew(Picky())))
    assert (outcome.done, outcome.failed) == (1, 1)
    partial = rows(tmp_path / "run", "failures.jsonl")[0]["partial"]
    assert len(partial["thinking"].split()) == 20


class Flaky(ScriptedBackend):
    """Breaks off the first ``breaks`` streams after three tokens."""

    breaks = 2

    def session(self, prompt: Prompt, key: str) -> Session:
        inner, outer = super().session(prompt, key), self

        class Breaking(Session):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                count = 0
                async for chunk in inner.generate(request):
                    yield chunk
                    count += 1
                    if count == 3 and outer.breaks > 0:
                        outer.breaks -= 1
                        raise BackendUnavailable("gone for a moment")

        return Breaking()


def test_a_stream_that_breaks_is_asked_for_again(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "calm", prompts, crew(Plain(), think=30)))
    flaky = Flaky("student", ScriptedOptions(think=30))
    run(plan(tmp_path / "run", prompts, crew(Plain(), student=flaky), concurrency=1))
    assert flaky.breaks == 0
    calm, torn = rows(tmp_path / "calm"), rows(tmp_path / "run")
    assert [r["messages"] for r in calm] == [r["messages"] for r in torn]


def test_a_backend_that_stays_away_fails_the_row_with_its_reason(tmp_path: Path, prompts: Path) -> None:
    flaky = Flaky("student", ScriptedOptions(think=30))
    flaky.breaks = 10_000
    outcome = run(plan(tmp_path / "run", prompts, crew(Plain(), student=flaky)))
    assert outcome.failed == 2
    assert rows(tmp_path / "run", "failures.jsonl")[0]["error"]["reason"] == "backend_unavailable"


def test_text_that_is_not_unicode_fails_its_row_only(tmp_path: Path, prompts: Path) -> None:
    def script(prompt: Prompt, request: Request) -> tuple[str, Any]:
        bad = "0" in prompt.messages[0].content
        return ("a \ud800" if bad else "fine"), (
            "end_of_thinking" if request.turn.phase == "think" else "end_of_turn"
        )

    surrogate = ScriptedBackend("s", script=script)
    outcome = run(plan(tmp_path / "run", prompts, crew(Plain(), student=surrogate)))
    assert (outcome.done, outcome.failed) == (1, 1)
    assert "not Unicode" in rows(tmp_path / "run", "failures.jsonl")[0]["error"]["message"]


def test_a_detector_that_raises_is_named(tmp_path: Path, prompts: Path) -> None:
    class Broken(WordDetector):
        async def label(self, windows: Any) -> Any:
            raise KeyError("weights")

    outcome = run(plan(tmp_path / "run", prompts, crew(detector=Broken(Options()))))
    assert outcome.failed == 2
    message = rows(tmp_path / "run", "failures.jsonl")[0]["error"]["message"]
    assert "style detector 'words' (package tests)" in message


def test_what_a_backend_lacks_is_refused_before_start(tmp_path: Path, prompts: Path) -> None:
    class Closed(ScriptedBackend):
        @property
        def capabilities(self) -> Capabilities:
            return Capabilities(continuation=False)

    with pytest.raises(ContinuationUnsupported, match=r"teacher 'c'.*policies that would work: alone"):
        run(
            plan(tmp_path / "run", prompts, replace(crew(teacher=Closed("c")), fitting=lambda can: ["alone"]))
        )

    class Greedy(Plain):
        @property
        def needs(self) -> Needs:
            return Needs(top_logprobs={"student": 5})

    with pytest.raises(ConfigError, match=r"needs the 5 best log-probabilities.*top_logprobs"):
        run(plan(tmp_path / "run", prompts, crew(Greedy())))
    assert not (tmp_path / "run").exists()


def test_a_slow_trajectory_does_not_delay_the_others(tmp_path: Path) -> None:
    """Invariant 3: with a barrier the fast ones could not finish before the slow one's first token."""
    prompts = write_prompts(tmp_path / "p.jsonl", 6)
    ended: list[str] = []

    class Slow(ScriptedBackend):
        def session(self, prompt: Prompt, key: str) -> Session:
            inner = super().session(prompt, key)
            slow = "Question 0" in prompt.messages[0].content

            class Delayed(Session):
                async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                    await asyncio.sleep(1200 if slow else 0)
                    async for chunk in inner.generate(request):
                        yield chunk

            return Delayed()

    from tessy.observer import Observer

    class Watch(Observer):
        def finished(self, row: str) -> None:
            ended.append(row)

    made = crew(teacher=Slow("t", ScriptedOptions(think=20)), student=Slow("s", ScriptedOptions(think=20)))
    run(plan(tmp_path / "run", prompts, made), Watch())
    assert ended[-1] == "p0#0"
    assert len(ended) == 6
