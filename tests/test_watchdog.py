"""A policy that takes too long costs its own trajectory, and the error names it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from helpers import Plain, crew, on_virtual_time, plan, rows, run, write_prompts
from tessy.abc import Context
from tessy.draft import Draft
from tessy.limits import Limits
from tessy.rowwriter import RowWriter
from tessy.trajectory import Trajectory
from tessy.types import Cut, Done, Keep, Prepared, Prompt, Selected, Turn
from tessy.watchdog import Allowance, Watchdog


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", 3)


def first(prompt: Prompt) -> bool:
    return prompt == Prompt.user("Question 0?")


@pytest.mark.parametrize("where", ["next_turn", "watch", "candidates", "review", "prepare", "select"])
def test_an_endless_loop_fails_its_trajectory_only(tmp_path: Path, prompts: Path, where: str) -> None:
    stuck = [0]

    def spin() -> None:
        stuck[0] += 1
        while stuck[0] == 1:
            pass

    class Loops(Plain):
        def next_turn(self, trajectory: Trajectory) -> Turn | Done:
            if where == "next_turn" and first(trajectory.prompt):
                spin()
            return super().next_turn(trajectory)

        def watch(self, draft: Draft) -> Cut | None:
            if where == "watch":
                spin()
            return None

        @property
        def candidates(self) -> int:
            if where == "candidates":
                spin()
            return 2 if where == "select" else 1

        async def review(self, draft: Draft, context: Context) -> Keep | Cut:
            if where == "review":
                await asyncio.sleep(0)
                spin()
            return Keep()

        async def prepare(self, prompt: Prompt, context: Context) -> Prepared:
            if where == "prepare":
                spin()
            return Prepared()

        async def select(self, candidates: Sequence[Trajectory], context: Context) -> Selected:
            await context.ask("student", context.prompt.messages)
            spin()
            return Selected(candidates[1].candidate)

    limits = Limits(blocking_seconds=0.4)
    outcome = run(plan(tmp_path / "run", prompts, crew(Loops()), limits=limits))
    assert (outcome.done, outcome.failed) == (2, 1)
    message = rows(tmp_path / "run", "failures.jsonl")[0]["error"]["message"]
    assert "policy 'Loops' (package tests)" in message
    assert where in message
    assert "0.4 s" in message


@pytest.mark.parametrize("where", ["review", "prepare"])
def test_waiting_for_ever_fails_its_trajectory_only(tmp_path: Path, prompts: Path, where: str) -> None:
    class Waits(Plain):
        async def review(self, draft: Draft, context: Context) -> Keep | Cut:
            if where == "review" and first(context.prompt):
                await asyncio.Event().wait()
            return Keep()

        async def prepare(self, prompt: Prompt, context: Context) -> Prepared:
            if where == "prepare" and first(prompt):
                await asyncio.sleep(1e9)
            return Prepared()

    outcome = run(plan(tmp_path / "run", prompts, crew(Waits())))
    assert (outcome.done, outcome.failed) == (2, 1)
    message = rows(tmp_path / "run", "failures.jsonl")[0]["error"]["message"]
    assert "policy 'Waits' (package tests)" in message
    assert where in message
    assert "60 s" in message


def test_time_that_a_model_takes_does_not_count(tmp_path: Path, prompts: Path) -> None:
    class Asks(Plain):
        async def review(self, draft: Draft, context: Context) -> Keep | Cut:
            await context.ask("student", context.prompt.messages)
            return Keep()

    slow = plan(tmp_path / "run", prompts, crew(Asks(), delay=1.0), limits=Limits(policy_seconds=0.5))
    assert run(slow).failed == 0


def test_an_allowance_is_spent_in_parts() -> None:
    async def work(rest: float) -> None:
        allowance = Allowance(2.0)
        async with allowance.spend():
            await asyncio.sleep(1.5)
            with allowance.paused():
                await asyncio.sleep(100)
            await asyncio.sleep(rest)

    on_virtual_time(work(0.4))
    with pytest.raises(TimeoutError, match="2 s"):
        on_virtual_time(work(0.6))


def test_a_timeout_of_the_plugins_own_stays_one() -> None:
    async def work() -> None:
        async with Allowance(2.0).spend():
            raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        on_virtual_time(work())


def spin(seconds: float) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return "done"


@pytest.fixture
def dog() -> Iterator[Watchdog]:
    dog = Watchdog(0.02)
    dog.start()
    yield dog
    dog.close()
    assert "tessy-watchdog" not in {thread.name for thread in threading.enumerate()}


def test_the_watchdog_strikes_again_and_again_and_never_afterwards(dog: Watchdog) -> None:
    for _ in range(3):
        with pytest.raises(TimeoutError, match=r"0\.02 s"):
            dog.call(spin, 60)
    assert dog.call(spin, 0) == "done"
    # It looks every 5 ms. Whatever ends just when its time is up is struck inside or not at all.
    struck = 0
    for seconds in (0.018, 0.02, 0.022, 0.025, 0.03) * 10:
        try:
            assert dog.call(spin, seconds) == "done"
        except TimeoutError:
            struck += 1
    assert struck


def test_swallowing_the_strike_does_not_help(dog: Watchdog) -> None:
    def swallow() -> None:
        try:
            spin(60)
        except BaseException:
            pass

    with pytest.raises(TimeoutError):
        dog.call(swallow)


def test_an_error_of_the_functions_own_stays_one(dog: Watchdog) -> None:
    with pytest.raises(ZeroDivisionError):
        dog.call(divmod, 1, 0)


def test_a_run_leaves_no_thread(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts, crew(Plain())))
    assert "tessy-watchdog" not in {thread.name for thread in threading.enumerate()}
    assert RowWriter.close.__doc__
