"""Policies whose wishes mean nothing: they are named, and not the backend that was to fulfil them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from helpers import Plain, crew, plan, rows, write_prompts
from tessy.abc import Capabilities, Session
from tessy.errors import TraceError
from tessy.execution import execute
from tessy.observer import Observer
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.trajectory import Trajectory
from tessy.types import Chunk, Done, Prompt, Request, Turn


class Wishes(Plain):
    """Wants what the test says, in the second row."""

    def __init__(self, wish: Callable[[Trajectory], Any]) -> None:
        super().__init__()
        self.wish = wish

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        if trajectory.row == "p1":
            found: Turn | Done = self.wish(trajectory)
            return found
        return super().next_turn(trajectory)


def no_answer(trajectory: Trajectory) -> Turn | Done:
    return Done() if trajectory.phase == "answer" else Turn("student", max_tokens=10)


def without_reason(trajectory: Trajectory) -> Turn:
    raise TraceError(None, "no idea")  # type: ignore[arg-type]


def exits(trajectory: Trajectory) -> Turn:
    raise SystemExit(3)


def turn(**fields: Any) -> Callable[[Trajectory], Turn]:
    return lambda trajectory: Turn("student", trajectory.phase, **fields)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (turn(max_tokens=2.5), "max_tokens=2.5: neither None nor a whole number from 1 on"),
        (turn(max_tokens="20"), "max_tokens='20'"),
        (turn(max_tokens=0), "max_tokens=0"),
        (turn(stop="wait"), "stop='wait': no tuple of strings"),
        (turn(stop=("",)), "stop=('',)"),
        (turn(top_logprobs=-1), "top_logprobs=-1"),
        (lambda trajectory: Done(), "Done before any turn of the answer"),
        (no_answer, "Done before any turn of the answer"),
        (without_reason, "no idea"),
        (exits, "failed in next_turn: it wanted to exit with 3 (in exits, test_wishes.py:"),
    ],
)
def test_only_its_row_fails_and_the_policy_is_named(
    tmp_path: Path, wish: Callable[[Trajectory], Any], said: str
) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", 3)
    made = crew(Wishes(wish), think=60)
    outcome = asyncio.run(execute(plan(tmp_path / "run", prompts, made), Observer()))
    assert (outcome.done, outcome.failed) == (2, 1)
    (failed,) = rows(tmp_path / "run", "failures.jsonl")
    assert failed["id"] == "p1"
    assert failed["error"]["reason"] == "plugin"
    assert said in failed["error"]["message"]
    assert "scripted" not in failed["error"]["message"]


class Sync(ScriptedBackend):
    """Has all its chunks at once: its streams never wait."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(seeds=True, stall_seconds=None)

    def session(self, prompt: Prompt, key: str) -> Session:
        class Endless(Session):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                for _ in range(request.turn.max_tokens or 0):
                    yield Chunk(" on", tokens=1)
                yield Chunk(finish="length")

        return Endless()


async def test_the_event_loop_has_its_turn_between_turns(tmp_path: Path) -> None:
    """However short they are: a run that cannot be interrupted would go on to its end."""
    prompts = write_prompts(tmp_path / "p.jsonl", 1)
    made = crew(Plain(), student=Sync("student", ScriptedOptions()))
    turns: list[int] = []

    class Counting(Observer):
        def turn(self, row: str, record: object) -> None:
            turns.append(1)

    running = asyncio.create_task(execute(plan(tmp_path / "run", prompts, made), Counting()))
    while not turns and not running.done():
        await asyncio.sleep(0)
    assert len(turns) < 100
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
