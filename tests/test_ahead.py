"""The next model is asked while the last words of a turn settle: faster, same bytes, all of it booked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers import WordDetector, booked, check_row, crew, on_virtual_time, plan, rows, run, write_prompts
from tessy.abc import Capabilities, Context, Options, Session
from tessy.crew import Crew
from tessy.draft import Draft
from tessy.errors import BackendUnavailable, TraceError
from tessy.execution import execute
from tessy.observer import Observer
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.trajectory import Trajectory
from tessy.types import Chunk, Cut, Done, Keep, Label, Needs, Prompt, Request, Turn, Usage, Window


class Model(ScriptedBackend):
    """One that may be asked ahead, fails as it is told, and minds how it is called."""

    def __init__(
        self, name: str, options: ScriptedOptions, *, ahead: bool = True, trouble: float = 0.0
    ) -> None:
        super().__init__(name, options)
        self.ahead = ahead
        self.trouble = trouble
        self.chance = random.Random(1)
        self.asked: list[Request] = []
        self.cost = Usage()

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, ahead=self.ahead)

    def session(self, prompt: Prompt, key: str) -> Session:
        return ModelSession(self, super().session(prompt, key))


class ModelSession(Session):
    def __init__(self, model: Model, inner: Session) -> None:
        self.model = model
        self.inner = inner
        self.busy = False

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        assert not self.busy, "a session was called again before its stream was closed"
        self.busy = True
        self.model.asked.append(request)
        stream = self.inner.generate(request)
        before = self.inner.usage() or Usage()
        fails = self.model.chance.random() < self.model.trouble
        try:
            async for chunk in stream:
                if fails:
                    raise BackendUnavailable("a moment of trouble")
                yield chunk
        finally:
            await stream.aclose()
            self.model.cost += (self.inner.usage() or Usage()) - before
            self.busy = False

    def usage(self) -> Usage | None:
        return self.inner.usage()

    async def close(self) -> None:
        assert not self.busy
        await self.inner.close()


class Guessing(WordDetector):
    """Right with its guesses, or wrong as often as it is told."""

    def __init__(self, look: int = 30, wrong: float = 0.0) -> None:
        super().__init__(Options())
        self.lookahead = look
        self.wrong = wrong
        self.chance = random.Random(2)

    def guess(self, window: Window) -> Sequence[Label]:
        true = self._one(replace(window, final=True))
        if self.chance.random() < self.wrong:
            return [replace(label, style=not label.style) for label in true]
        return true


def cast(
    *,
    ahead: bool = True,
    look: int = 30,
    wrong: float = 0.0,
    trouble: float = 0.0,
    policy: Any = None,
    **options: Any,
) -> Crew:
    made = ScriptedOptions(**options)
    pair = {role: Model(role, made, ahead=ahead, trouble=trouble) for role in ("teacher", "student")}
    return crew(policy, detector=Guessing(look, wrong), **pair)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1 << 30),
    look=st.sampled_from([0, 6, 12, 40]),
    wrong=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    trouble=st.sampled_from([0.0, 0.1]),
    chunk=st.sampled_from([1, 2, 7]),
    style=st.integers(1, 9),
    capability=st.integers(1, 300),
    k=st.sampled_from([None, 7, 30]),
    block=st.sampled_from([3, 256]),
)
@example(38, 12, 0.5, 0.0, 7, 9, 9, 30, 3)  # cut where the last piece ended, said a guess that was wrong
def test_the_text_is_the_same_and_all_is_booked(
    seed: int,
    look: int,
    wrong: float,
    trouble: float,
    chunk: int,
    style: int,
    capability: int,
    k: int | None,
    block: int,
) -> None:
    with patch("tessy.writer.BLOCK", block), TemporaryDirectory() as name:
        folder = Path(name)
        prompts = write_prompts(folder / "prompts.jsonl", 2)
        for ahead in (False, True):
            made = cast(
                ahead=ahead,
                look=look,
                wrong=wrong,
                trouble=trouble if ahead else 0.0,
                policy=TessyPolicy(TessyOptions(k=k)),
                think=400,
                style=style,
                capability=capability,
                chunk=chunk,
                delay=0.01,
            )
            assert run(plan(folder / str(ahead), prompts, made, seed=seed)).done == 2
            models: list[Any] = list(made.backends.values())
            assert all(model.running == model.sessions == 0 for model in models)
            cost, figures = sum((model.cost for model in models), Usage()), booked(folder / str(ahead))
            assert (cost.generated, cost.requests) == (figures["generated"], figures["requests"])
            assert figures["generated"] == figures["kept"] + figures["marks"] + figures["discarded"]
            assert figures["requests"] == sum(len(model.asked) for model in models)
        assert (folder / "True/data.jsonl").read_bytes() == (folder / "False/data.jsonl").read_bytes()
        for row in rows(folder / "True"):
            check_row(row)


def seconds(folder: Path, prompts: Path, made: Crew) -> float:
    async def timed() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await execute(plan(folder, prompts, made), Observer())
        return loop.time() - began

    return float(on_virtual_time(timed()))


def test_a_hand_over_takes_no_longer_than_its_words_or_the_first_token(tmp_path: Path) -> None:
    """A word takes 10 ms, so does the first of a turn; while five more settle it is there already."""
    prompts = write_prompts(tmp_path / "prompts.jsonl", 1)
    took, requests = {}, {}
    for ahead in (False, True):
        made = cast(ahead=ahead, think=600, delay=0.01, style=6, capability=12, look=25)
        took[ahead] = seconds(tmp_path / str(ahead), prompts, made)
        requests[ahead] = booked(tmp_path / str(ahead))["requests"]
    (row,) = rows(tmp_path / "True")
    saved = (took[False] - took[True]) / row["tessy"]["switches"]
    assert 0.008 < saved < 0.012, "the first token of the next model came while words settled"
    assert requests[True] == requests[False], "no guess was wrong"


def test_wrong_guesses_are_given_up_and_soon_no_longer_made(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", 1)
    figures = {}
    for wrong in (0.0, 1.0):
        run(plan(tmp_path / str(wrong), prompts, cast(wrong=wrong, think=2000, delay=0.01)))
        figures[wrong] = booked(tmp_path / str(wrong))
    extra = figures[1.0]["requests"] - figures[0.0]["requests"]
    assert 0 < extra <= 3
    assert figures[1.0]["kept"] == figures[0.0]["kept"]


@pytest.mark.parametrize("after", [0.333, 0.777, 1.234, 2.5])
def test_cancelled_with_a_request_ahead_nothing_is_left(tmp_path: Path, after: float) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", 3)
    made = cast(think=600, delay=0.01, style=3, capability=4)

    async def interrupted() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(execute(plan(tmp_path / "run", prompts, made), Observer()), after)

    on_virtual_time(interrupted())
    models: list[Any] = list(made.backends.values())
    assert all(model.running == model.sessions == 0 for model in models)
    assert any(request.uncommitted for model in models for request in model.asked)
    made = cast(think=600, delay=0.01, style=3, capability=4)
    assert run(plan(tmp_path / "run", prompts, made)).done == 3
    run(plan(tmp_path / "calm", prompts, cast(ahead=False, think=600, style=3, capability=4)))
    assert (tmp_path / "run/data.jsonl").read_bytes() == (tmp_path / "calm/data.jsonl").read_bytes()


def test_the_model_asked_ahead_may_be_asked_by_the_review(tmp_path: Path) -> None:
    """A turn that ends by itself is reviewed; what was asked ahead for another end is over by then."""
    drafted: list[int] = []

    class Asks(TessyPolicy):
        needs = Needs(labels=True)

        def watch(self, draft: Draft) -> Cut | None:
            cut = super().watch(draft)
            # Only guesses reach so far: the turn is never really cut there.
            return cut if cut is not None and draft.settled == len(draft) and draft.finish is None else None

        async def review(self, draft: Draft, context: Context) -> Keep | Cut:
            other = "student" if draft.role == "teacher" else "teacher"
            chunks = await context.draft(Turn(other, max_tokens=3))  # type: ignore[arg-type]
            drafted.append(sum(chunk.tokens for chunk in chunks))
            return Keep()

    prompts = write_prompts(tmp_path / "prompts.jsonl", 2)
    made = cast(policy=Asks(TessyOptions(k=12)), think=120, delay=0.01)
    assert run(plan(tmp_path / "run", prompts, made)).done == 2
    models: list[Any] = list(made.backends.values())
    assert any(request.uncommitted for model in models for request in model.asked)
    assert len(drafted) > 10


def test_a_policy_that_goes_on_with_the_same_model_asks_nothing_ahead(tmp_path: Path) -> None:
    class Alone(TessyPolicy):
        def next_turn(self, trajectory: Trajectory) -> Turn | Done:
            turn = super().next_turn(trajectory)
            return turn if isinstance(turn, Done) else replace(turn, role="student", memo=None)

    prompts = write_prompts(tmp_path / "prompts.jsonl", 1)
    made = cast(policy=Alone(TessyOptions()), think=60, delay=0.01)
    run(plan(tmp_path / "run", prompts, made))
    models: list[Any] = list(made.backends.values())
    assert not any(request.uncommitted for model in models for request in model.asked)


@pytest.mark.parametrize("where", ["watch", "next_turn"])
def test_of_what_a_policy_says_to_a_guess_no_row_dies(tmp_path: Path, where: str) -> None:
    """It meets texts that never come to be; only what it says of those that do counts."""
    met: list[str] = []

    class Strict(TessyPolicy):
        def watch(self, draft: Draft) -> Cut | None:
            if (
                where == "watch"
                and draft.phase == "think"
                and draft.settled == len(draft)
                and not draft.finish
            ):
                met.append("watch")
                raise TraceError("too_hard", "no row should end so")
            return super().watch(draft)

        def next_turn(self, trajectory: Trajectory) -> Turn | Done:
            last = trajectory.last
            if where == "next_turn" and last is not None and last.cut and last.drafted - last.kept < 20:
                met.append("next_turn")
                raise TraceError("too_hard", "no row should end so")
            return super().next_turn(trajectory)

    prompts = write_prompts(tmp_path / "prompts.jsonl", 2)
    for name, made in (
        ("strict", cast(policy=Strict(TessyOptions()), delay=0.01)),
        ("calm", cast(ahead=False)),
    ):
        assert run(plan(tmp_path / name, prompts, made)).done == 2
    assert met
    assert (tmp_path / "strict/data.jsonl").read_bytes() == (tmp_path / "calm/data.jsonl").read_bytes()


@pytest.mark.parametrize("how", ["raises", "overlaps", "says what is no label"])
def test_a_detector_that_guesses_amiss_is_named(tmp_path: Path, how: str) -> None:
    class Amiss(Guessing):
        def guess(self, window: Window) -> Any:
            if how == "raises":
                raise ZeroDivisionError("a bug")
            if how == "overlaps":
                return [Label(0, len(window.text) + 9, not window.new_from)]
            return ["style"]

    prompts = write_prompts(tmp_path / "prompts.jsonl", 1)
    made = ScriptedOptions(think=60)
    pair: dict[str, Any] = {role: Model(role, made) for role in ("teacher", "student")}
    outcome = run(plan(tmp_path / "run", prompts, crew(detector=Amiss(), **pair)))
    assert outcome.failed == 1
    (failure,) = rows(tmp_path / "run", "failures.jsonl")
    assert "guess" in failure["error"]["message"]
    assert "words" in failure["error"]["message"]
