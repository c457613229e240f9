"""What backends and policies do wrong costs their own trajectory, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers import Plain, crew, plan, rows, run, write_prompts
from tessy.abc import Context, Session, SwitchPolicy
from tessy.attempts import RETRIES
from tessy.draft import Draft
from tessy.errors import BackendDown, BackendError, BackendRejected, BackendTimeout, BackendUnavailable
from tessy.plan import Outcome
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.trajectory import Trajectory
from tessy.types import (
    Chunk,
    Cut,
    Done,
    Keep,
    Needs,
    Prepared,
    Prompt,
    Request,
    Turn,
    Usage,
)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", 2)


class Odd(ScriptedBackend):
    """A student that misbehaves in row p0 alone."""

    change: Callable[[Chunk], Any] = staticmethod(lambda chunk: chunk)
    counted: Any = None
    ending: BaseException | None = None
    closing: BaseException | None = None

    def session(self, prompt: Prompt, key: str) -> Session:
        inner, outer = super().session(prompt, key), self
        if prompt != Prompt.user("Question 0?"):
            return inner

        class Wrong(Session):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                try:
                    async for chunk in inner.generate(request):
                        yield outer.change(chunk)
                finally:
                    if outer.ending is not None:
                        raise outer.ending

            def usage(self) -> Any:
                used = inner.usage()
                return outer.counted(used) if outer.counted is not None else used

            async def close(self) -> None:
                await inner.close()
                if outer.closing is not None:
                    raise outer.closing

        return Wrong()


def raises(error: BaseException) -> Callable[[Any], Any]:
    def call(_: Any) -> Any:
        raise error

    return call


def one_fails(tmp_path: Path, prompts: Path, policy: SwitchPolicy, **models: Any) -> dict[str, Any]:
    """Run; row p0 fails, p1 does not. What is said about p0."""
    outcome = run(plan(tmp_path / "run", prompts, crew(policy, think=20, **models)))
    assert (outcome.done, outcome.failed) == (1, 1)
    assert rows(tmp_path / "run")[0]["id"] == "p1"
    error: dict[str, Any] = rows(tmp_path / "run", "failures.jsonl")[0]["error"]
    assert error["reason"] == "plugin"
    return error


@pytest.mark.parametrize(
    "change",
    [
        lambda chunk: None,
        lambda chunk: replace(chunk, text=None),
        lambda chunk: replace(chunk, ids=(2**32,) * chunk.tokens),
        lambda chunk: replace(chunk, ids=(-1,) * chunk.tokens),
        lambda chunk: replace(chunk, via="\ud800"),
        lambda chunk: replace(chunk, finish=object()) if chunk.finish else chunk,
        raises(ValueError("\ud800")),
        raises(asyncio.CancelledError()),
    ],
)
def test_a_chunk_that_cannot_be_kept_fails_its_row_only(
    tmp_path: Path, prompts: Path, change: Callable[[Chunk], Any]
) -> None:
    odd = Odd("student", ScriptedOptions(think=20))
    odd.change = change
    assert "backend 'scripted'" in one_fails(tmp_path, prompts, Plain(), student=odd)["message"]


def test_a_count_that_cannot_be_kept_fails_its_row_only(tmp_path: Path, prompts: Path) -> None:
    odd = Odd("student", ScriptedOptions(think=20))
    odd.counted = lambda used: Usage(used.prompt + 2**63 * (used.requests > 0), 0, used.generated, 1)
    assert "backend 'scripted'" in one_fails(tmp_path, prompts, Plain(), student=odd)["message"]


@pytest.mark.parametrize("ending", [RuntimeError("no end"), asyncio.CancelledError()])
def test_a_stream_that_fails_to_close_fails_its_row_only(
    tmp_path: Path, prompts: Path, ending: BaseException
) -> None:
    odd = Odd("student", ScriptedOptions(think=20))
    odd.ending = ending
    assert "failed in generate" in one_fails(tmp_path, prompts, Plain(), student=odd)["message"]


@pytest.mark.parametrize("closing", [RuntimeError("no end"), asyncio.CancelledError()])
def test_a_session_that_fails_to_close_costs_nothing(
    tmp_path: Path, prompts: Path, closing: BaseException
) -> None:
    odd = Odd("student", ScriptedOptions(think=20))
    odd.closing = closing
    assert run(plan(tmp_path / "run", prompts, crew(Plain(), student=odd))).done == 2


@pytest.mark.parametrize("phase", ["reasoning", "think"])
def test_a_phase_that_is_none_or_is_over_fails_its_row_only(
    tmp_path: Path, prompts: Path, phase: Any
) -> None:
    class Bad(Plain):
        def next_turn(self, trajectory: Trajectory) -> Turn | Done:
            if trajectory.row == "p0" and trajectory.answer:
                return Turn("student", phase, max_tokens=5)
            turn = super().next_turn(trajectory)
            return turn if isinstance(turn, Done) else replace(turn, max_tokens=5)

    assert f"wants phase {phase!r}" in one_fails(tmp_path, prompts, Bad())["message"]


@pytest.mark.parametrize("at", ["3", 2.5])
def test_a_cut_at_no_number_is_the_policys_fault(tmp_path: Path, prompts: Path, at: Any) -> None:
    class Bad(Plain):
        async def review(self, draft: Draft, context: Context) -> Keep | Cut:
            return Cut(at) if context.prompt == Prompt.user("Question 0?") else Keep()

    assert "is no Cut" in one_fails(tmp_path, prompts, Bad())["message"]


@pytest.mark.parametrize(
    "prepared",
    [
        None,
        Prepared(metadata={"x": object()}),  # type: ignore[dict-item]
        Prepared(metadata={"x": "\ud800"}),
        Prepared({"student": "no prompt"}),  # type: ignore[dict-item]
    ],
)
def test_what_cannot_be_prepared_fails_its_row_only(tmp_path: Path, prompts: Path, prepared: Any) -> None:
    class Bad(Plain):
        async def prepare(self, prompt: Prompt, context: Context) -> Prepared:
            return prepared if prompt == Prompt.user("Question 0?") else Prepared()  # type: ignore[no-any-return]

    assert "policy 'Bad'" in one_fails(tmp_path, prompts, Bad())["message"]


def test_questions_asked_together_reach_a_session_one_by_one(tmp_path: Path, prompts: Path) -> None:
    class Asks(Plain):
        async def review(self, draft: Draft, context: Context) -> Keep | Cut:
            await asyncio.gather(*(context.draft(Turn("teacher", max_tokens=3)) for _ in range(3)))
            return Keep()

    class Strict(ScriptedBackend):
        def session(self, prompt: Prompt, key: str) -> Session:
            inner, busy = super().session(prompt, key), asyncio.Lock()

            class OneAtATime(Session):
                async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                    assert not busy.locked()
                    async with busy:
                        async for chunk in inner.generate(request):
                            yield chunk
                            await asyncio.sleep(0.01)

                def usage(self) -> Usage | None:
                    return inner.usage()

            return OneAtATime()

    made = crew(Asks(), teacher=Strict("t", ScriptedOptions(think=20)), think=20)
    assert run(plan(tmp_path / "run", prompts, made)).done == 2


def test_a_backend_that_is_down_ends_the_run_and_fails_no_row(tmp_path: Path, prompts: Path) -> None:
    odd = Odd("student", ScriptedOptions(think=20))
    odd.change = raises(BackendDown("the engine has died"))
    with pytest.raises(BackendDown, match="the engine has died"):
        run(plan(tmp_path / "run", prompts, crew(Plain(), student=odd, think=20)))
    assert rows(tmp_path / "run", "failures.jsonl") == []
    outcome = run(plan(tmp_path / "run", prompts, crew(Plain(), think=20)))
    assert (outcome.done, outcome.failed) == (2, 0)


class Breaking(ScriptedBackend):
    """A teacher whose streams break off after their second chunk, so many times."""

    breaks = 0
    error: type[BackendError] = BackendUnavailable

    def session(self, prompt: Prompt, key: str) -> Session:
        inner, outer = super().session(prompt, key), self

        class Fragile(Session):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                came = 0
                async with aclosing(inner.generate(request)) as chunks:
                    async for chunk in chunks:
                        if came == 2 and outer.breaks:
                            outer.breaks -= 1
                            raise outer.error("broke off")
                        came += 1
                        yield chunk

        return Fragile()


@pytest.mark.parametrize(
    ("breaks", "error", "done"),
    [
        (RETRIES, BackendUnavailable, 1),
        (RETRIES, BackendTimeout, 1),
        (RETRIES + 1, BackendUnavailable, 0),
        (1, BackendRejected, 0),
    ],
)
def test_a_question_that_breaks_off_is_asked_again_and_comes_whole(
    tmp_path: Path, breaks: int, error: type[BackendError], done: int
) -> None:
    came: list[str] = []

    class Asks(Plain):
        @property
        def needs(self) -> Needs:
            return Needs(roles=("teacher", "student"))

        async def review(self, draft: Draft, context: Context) -> Keep | Cut:
            if not came:
                chunks = await context.draft(Turn("teacher", max_tokens=6))
                came.append("".join(chunk.text for chunk in chunks))
            return Keep()

    def written(folder: Path, breaks: int) -> Outcome:
        teacher = Breaking("t", ScriptedOptions(think=20))
        teacher.breaks, teacher.error = breaks, error
        made = crew(Asks(), teacher=teacher, think=20)
        outcome = run(plan(folder, write_prompts(tmp_path / "one.jsonl", 1), made))
        assert teacher.breaks == 0
        return outcome

    assert written(tmp_path / "alone", 0).done == 1
    expected = came.pop()
    assert written(tmp_path / "broken", breaks).done == done
    assert came == [expected] * done
