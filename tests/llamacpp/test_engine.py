"""The engine's thread when things go wrong."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from llamacpp.conftest import make, read, think
from tessy.errors import BackendDown, BackendError
from tessy.types import Prompt, Request, Turn


def failing(engine: Any, place: str) -> None:
    """Let a part of the engine fail once a few tokens have been drawn."""
    target, name = (engine._slots, "keep") if place == "keep" else (engine, "_draw")
    right = getattr(target, name)

    def wrong(*args: Any) -> Any:
        if place == "keep" or engine.steps.drawn >= 20:
            raise RuntimeError("boom")
        return right(*args)

    setattr(target, name, wrong)


@pytest.mark.parametrize("place", ["keep", "draw"])
async def test_a_thread_that_fails_ends_every_generation_and_takes_no_more(place: str) -> None:
    backend = make("student", parallel=4)
    await backend.start()
    failing(backend.loaded.engine, place)
    sessions = [backend.session(Prompt.user(f"What is {i} + 1?"), str(i)) for i in range(10)]
    works = [read(session, think(max_tokens=1 + i)) for i, session in enumerate(sessions)]
    async with asyncio.timeout(120):
        ended = await asyncio.gather(*works, return_exceptions=True)
        # One may have ended in the very step that failed: that is news, too.
        failed = [end for end in ended if not isinstance(end, list)]
        assert len(failed) >= 5
        assert {type(error) for error in failed} == {BackendDown}
        with pytest.raises(BackendDown, match="engine has failed: RuntimeError: boom"):
            await read(sessions[0], think())
        with pytest.raises(BackendDown):
            await sessions[1].score(Request(Turn("student"), (), 0), "text")
        for session in sessions:
            await session.close()
        await backend.close()


async def test_the_sequences_of_a_batch_ascend_whoever_came_first() -> None:
    """llama.cpp makes a pass over the weights for every break in the order."""
    backend = make("student", parallel=4)
    await backend.start()
    batch = backend.loaded.engine._batch
    extend = batch.extend
    steps: list[list[int]] = []

    def noting(parts: Any) -> Any:
        steps.append([part.sequence for part in parts])
        return extend(parts)

    batch.extend = noting  # type: ignore[method-assign]
    sessions = [backend.session(Prompt.user(f"What is {i} + 1?"), str(i)) for i in range(4)]
    # Each has had its turn in one order; now they come in the other.
    for order in (sessions, sessions[::-1]):
        await asyncio.gather(*(read(session, think(max_tokens=6)) for session in order))
    await backend.close()
    assert max(map(len, steps)) == 4
    assert all(step == sorted(step) for step in steps)


async def test_a_session_closed_while_it_writes_ends_its_stream(student) -> None:
    session = student.session(Prompt.user("What is 13 + 39?"), "k")
    async with aclosing(session.generate(think())) as stream:
        await anext(stream)
        await session.close()
        async with asyncio.timeout(120):
            with pytest.raises(BackendError, match="session was closed"):
                async for _ in stream:
                    pass
    assert await read(student.session(Prompt.user("Hi"), "other"), think(max_tokens=3))


async def test_a_closed_model_refuses_in_words(student) -> None:
    """llama.cpp itself takes the process down."""
    session = student.session(Prompt.user("Hi"), "k")
    await read(session, think(max_tokens=2))
    loaded = student.loaded
    await student.close()
    with pytest.raises(BackendError, match="closed"):
        await read(session, think(max_tokens=2))
    with pytest.raises(BackendError, match="closed"):
        loaded.model.encode("text")
