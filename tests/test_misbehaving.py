"""One plugin that hangs, raises or floods: only its own trajectories fail; what the others get is the same.

On a real event loop: a plugin that holds it up is what this is about.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers import Plain, crew, plan, rows, write_prompts
from tessy.abc import Capabilities, Options, Session, StyleDetector
from tessy.boundary import Origin
from tessy.crew import Crew
from tessy.detection import Detection
from tessy.execution import execute
from tessy.limits import Limits
from tessy.observer import Observer
from tessy.testing import ScriptedBackend, ScriptedDetector, ScriptedOptions
from tessy.types import Chunk, Label, Prompt, Request, Window

POISON = "Question 1?"
ROWS = 6


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", ROWS)


def data(folder: Path, prompts: Path, made: Crew) -> list[dict[str, Any]]:
    """The rows of a run, and those that failed, by id; the run takes no half hour, whatever hangs."""
    limits = Limits(policy_seconds=1.0, blocking_seconds=0.5, retries=0, repetition=None)
    began = time.monotonic()
    asyncio.run(execute(plan(folder, prompts, made, limits=limits), Observer()))
    assert time.monotonic() - began < 300
    return sorted(rows(folder) + rows(folder, "failures.jsonl"), key=lambda row: str(row["id"]))


def only_one_fails(folder: Path, prompts: Path, healthy: Crew, ill: Crew) -> str:
    """Run both; all rows but the poisoned are equal. Why that one failed."""
    wanted = data(folder / "healthy", prompts, healthy)
    found = data(folder / "ill", prompts, ill)
    assert all("tessy" in row for row in wanted)
    assert [row for row in found if "tessy" in row] == [row for row in wanted if row["id"] != "p1"]
    (failed,) = [row for row in found if "error" in row]
    assert failed["id"] == "p1"
    return f"{failed['error']['reason']}: {failed['error']['message']}"


# --- backends -----------------------------------------------------------------------------------


def block() -> None:
    while True:
        pass


async def hangs_before(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    await asyncio.Event().wait()
    async for chunk in chunks:
        yield chunk


async def hangs_within(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    yield await anext(chunks)
    await asyncio.Event().wait()


async def clings(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    yield await anext(chunks)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise ValueError("not now") from None


async def raises(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    yield await anext(chunks)
    raise ZeroDivisionError("by nothing")


async def floods_nothing(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    while True:
        yield Chunk("")


async def floods_text(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    while True:
        yield Chunk("on and on ", tokens=3)


async def floods_characters(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    while True:
        yield Chunk("on and on " * 10_000, tokens=1)


async def counts_nothing(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    while True:
        yield Chunk("on and on ")


async def counts_down(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    async for chunk in chunks:
        yield replace(chunk, tokens=-5)


async def sends_bytes(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    yield Chunk(b"on and on", tokens=1)  # type: ignore[arg-type]


async def ends_in_its_own_words(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    yield Chunk("on", tokens=1, finish="eos")  # type: ignore[arg-type]


async def exits(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    yield await anext(chunks)
    raise SystemExit(0)


class Student(ScriptedBackend):
    """Does what the test says in the poisoned row."""

    def __init__(self, way: Callable[[AsyncGenerator[Chunk, None]], AsyncGenerator[Chunk, None]]) -> None:
        super().__init__("student", ScriptedOptions(think=60))
        self.way = way

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(seeds=True, stall_seconds=0.5)

    def session(self, prompt: Prompt, key: str) -> Session:
        inner, way = super().session(prompt, key), self.way
        if prompt != Prompt.user(POISON):
            return inner

        class Ill(Session):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                async for chunk in way(inner.generate(request)):
                    yield chunk

        return Ill()


@pytest.mark.parametrize(
    ("way", "said"),
    [
        (hangs_before, "backend_timeout: backend 'scripted' (package tessy-llm) sent nothing for 0.5 s"),
        (hangs_within, "backend_timeout: backend 'scripted' (package tessy-llm) sent nothing for 0.5 s"),
        (clings, "plugin: backend 'scripted' (package tessy-llm) failed in generate: ValueError: not now"),
        (raises, "failed in generate: ZeroDivisionError: by nothing (in raises, test_misbehaving.py:"),
        (
            exits,
            "plugin: backend 'scripted' (package tessy-llm) failed in generate: it wanted to exit with 0",
        ),
        (sends_bytes, "failed in generate: TypeError: a chunk has text b'on and on' and 1 tokens"),
        (counts_down, "and -5 tokens"),
        (counts_nothing, "characters and no tokens (Chunk.tokens)"),
        (ends_in_its_own_words, "a chunk has finish='eos'; there are end_of_thinking,"),
        (floods_nothing, "does not end: 10,000 empty chunks in a row"),
        (floods_text, "does not end: 1,0"),
        (floods_characters, "where at most 10 tokens were asked for"),
    ],
)
def test_a_backend(tmp_path: Path, prompts: Path, way: Any, said: str) -> None:
    """Without a detector, whose labels would cut an endless text."""
    healthy = crew(Plain(), think=60)
    assert said in only_one_fails(tmp_path, prompts, healthy, crew(Plain(), student=Student(way), think=60))


# --- detectors ----------------------------------------------------------------------------------


class Words(ScriptedDetector):
    """Does what the test says with a batch that holds the poisoned row's window."""

    def __init__(self, way: Callable[[], Awaitable[object]]) -> None:
        super().__init__(Options())
        self.way = way

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        labels = await super().label(windows)
        if any(window.key.startswith("p1#") for window in windows):
            found: Any = await self.way()
            if found is not None:
                return [
                    found if w.key.startswith("p1#") else of for w, of in zip(windows, labels, strict=True)
                ]
        return labels


async def waits() -> None:
    await asyncio.Event().wait()


async def spins() -> None:
    block()


async def spins_later() -> None:
    await asyncio.sleep(0.01)
    block()


async def fails() -> None:
    raise ZeroDivisionError("by nothing")


async def too_much() -> object:
    return [Label(0, 10**9, True)] * 1000


@pytest.mark.parametrize(
    ("way", "said"),
    [
        (waits, "did not answer within 1 s"),
        (spins, "did not answer: it took more than 0.5 s and was stopped"),
        (spins_later, "did not answer: it took more than 0.5 s and was stopped"),
        (fails, "failed in label: ZeroDivisionError: by nothing"),
        (too_much, "broke its contract"),
    ],
)
def test_a_detector(tmp_path: Path, prompts: Path, way: Any, said: str) -> None:
    def pair(detector: StyleDetector) -> Crew:
        made = crew(detector=detector, think=60)
        origin = Origin("style detector", "words", "tests")
        return Crew(
            made.policy,
            made.policy_origin,
            made.backends,
            made.origins,
            Detection(detector, origin, timeout=1.0),
        )

    healthy, ill = pair(ScriptedDetector(Options())), pair(Words(way))
    why = only_one_fails(tmp_path, prompts, healthy, ill)
    assert why.startswith("plugin: style detector 'words' (package tests)")
    assert said in why


# --- what is closed -----------------------------------------------------------------------------


def test_what_never_closes_is_left_behind(
    tmp_path: Path, prompts: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tessy.sessions._CLOSING", 0.05)
    monkeypatch.setattr("tessy.engines._CLOSING", 0.05)

    class Open(Session):
        def __init__(self, inner: Session) -> None:
            self.generate = inner.generate  # type: ignore[method-assign]

        def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
            raise AssertionError("replaced")

        async def close(self) -> None:
            await asyncio.Event().wait()

    class Door(ScriptedBackend):
        def session(self, prompt: Prompt, key: str) -> Session:
            return Open(super().session(prompt, key))

        async def close(self) -> None:
            await asyncio.Event().wait()

    made = crew(Plain(), student=Door("student", ScriptedOptions(think=20)))
    found = data(tmp_path / "run", prompts, made)
    assert len([row for row in found if "tessy" in row]) == ROWS
    assert [record.message for record in caplog.records].count(
        "backend 'scripted' (package tessy-llm): a session does not close and is left as it is"
    ) == ROWS
    assert "does not close; after 0.05 s" in caplog.text
