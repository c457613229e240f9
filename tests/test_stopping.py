"""A run that is stopped, however badly its plugins take it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from helpers import Plain, booked, crew, on_virtual_time, plan, rows, write_prompts
from tessy.abc import Session
from tessy.budget import Budget
from tessy.errors import BackendUnavailable
from tessy.execution import execute
from tessy.observer import Observer
from tessy.plan import Outcome
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.types import Chunk, Prompt, Request, Usage


class Sore(ScriptedBackend):
    """Raises something else when its stream is cancelled."""

    def __init__(self, error: Exception) -> None:
        super().__init__("student", ScriptedOptions(think=400, delay=0.01))
        self.error = error

    def session(self, prompt: Prompt, key: str) -> Session:
        inner, error = super().session(prompt, key), self.error

        class Lost(Session):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                stream = inner.generate(request)
                try:
                    async for chunk in stream:
                        yield chunk
                except asyncio.CancelledError:
                    raise error from None
                finally:
                    await stream.aclose()

            def usage(self) -> Usage | None:
                return inner.usage()

        return Lost()


@pytest.fixture(params=[ConnectionResetError("lost"), BackendUnavailable("lost")], ids=["foreign", "ours"])
def student(request: pytest.FixtureRequest) -> Sore:
    return Sore(request.param)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "p.jsonl", 20)


def test_a_cancelled_run_ends_though_its_streams_raise(tmp_path: Path, prompts: Path, student: Sore) -> None:
    async def stopped() -> float:
        running = asyncio.create_task(
            execute(
                plan(tmp_path / "run", prompts, crew(Plain(), student=student), concurrency=4), Observer()
            )
        )
        await asyncio.sleep(2)
        began = asyncio.get_running_loop().time()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return asyncio.get_running_loop().time() - began

    assert on_virtual_time(stopped()) < 1
    assert rows(tmp_path / "run", "failures.jsonl") == [], "no row is at fault"


def test_so_does_one_whose_budget_is_spent(tmp_path: Path, prompts: Path, student: Sore) -> None:
    made = crew(Plain(), student=student)
    outcome: Outcome = on_virtual_time(
        execute(plan(tmp_path / "run", prompts, made, concurrency=4, budget=Budget(tokens=800)), Observer())
    )
    assert outcome.stopped is not None
    assert (outcome.done, outcome.failed) == (0, 0)


class Slow(ScriptedBackend):
    """Takes a second to abort a stream, and knows only then what that has cost."""

    def __init__(self) -> None:
        super().__init__("student", ScriptedOptions(think=400, delay=0.01))
        self.aborting = 0
        self.cost = Usage()

    def session(self, prompt: Prompt, key: str) -> Session:
        inner, backend = super().session(prompt, key), self

        class Late(Session):
            def __init__(self) -> None:
                self.cost = Usage()

            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                stream, before = inner.generate(request), inner.usage() or Usage()
                try:
                    async for chunk in stream:
                        yield chunk
                except asyncio.CancelledError:
                    backend.aborting += 1
                    await asyncio.sleep(1)
                    raise
                finally:
                    await stream.aclose()
                    cost = (inner.usage() or Usage()) - before
                    self.cost += cost
                    backend.cost += cost

            def usage(self) -> Usage | None:
                return self.cost

        return Late()


def test_interrupted_while_it_stops_for_its_budget_it_still_books_all(tmp_path: Path, prompts: Path) -> None:
    student = Slow()

    async def stopped() -> None:
        made = plan(
            tmp_path / "run",
            prompts,
            crew(Plain(), student=student),
            concurrency=4,
            budget=Budget(seconds=2),
        )
        running = asyncio.create_task(execute(made, Observer()))
        while not student.aborting:
            await asyncio.sleep(0.01)  # in virtual time
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    on_virtual_time(stopped())
    figures = booked(tmp_path / "run")
    assert student.aborting == 4
    assert (figures["requests"], figures["generated"]) == (student.cost.requests, student.cost.generated)
