"""vLLM in this process."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from engines.conftest import MODELS, make_local_backend, read, span_of, text_of, think
from tessy.abc import Backend
from tessy.errors import BackendDown, BackendError, BackendRejected, ConfigError
from tessy.types import Prompt, Request, Span, Turn

SUM = Prompt.user("What is 13 + 39 + 99 - 35?")


def engine_processes() -> set[psutil.Process]:
    """All children but Python's own helper, which stays until the end."""
    children = psutil.Process().children(recursive=True)
    return {child for child in children if "resource_tracker" not in " ".join(child.cmdline())}


async def test_one_engine_from_start_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One engine for many looks at it: it takes a while to start."""
    before = engine_processes()
    backend = make_local_backend("student")
    await backend.start()
    try:
        assert backend.capabilities.context == 2048
        # It reads a file, or asks the hub: not for every request.
        monkeypatch.delattr("vllm.config.ModelConfig.get_diff_sampling_param")
        assert backend.identity()["sampling"] == {"temperature": 0.6, "top_k": 20, "top_p": 0.95}
        await a_turn_and_its_tokens(backend)
        await scores(backend)
        await aborts(backend)
        await the_prefix_cache(backend)
        await limits(backend)
    finally:
        await backend.close()
        await backend.close()
    assert engine_processes() <= before, "no process is left behind"
    with pytest.raises(BackendError, match="is not started"):
        backend.session(SUM, "late")


async def a_turn_and_its_tokens(backend: Backend) -> None:
    session = backend.session(SUM, "a")
    chunks = await read(session, think(top_logprobs=3))
    assert chunks[-1].finish == "end_of_thinking"
    span = span_of(chunks, "student")
    logprobs = [lp for chunk in chunks for lp in chunk.logprobs or ()]
    assert len(logprobs) == span.tokens
    assert all(lp.rank is not None and len(lp.top) == 3 for lp in logprobs)
    answer = await read(session, Request(Turn("student", "answer"), (span,), 1, closed=True))
    assert answer[-1].finish == "end_of_turn"
    again = await read(backend.session(SUM, "b"), think())
    assert text_of(again) == span.text, "equal seeds, equal text"


async def scores(backend: Backend) -> None:
    session = backend.session(SUM, "s")
    spans = (Span("teacher", "think", "Okay, first 13 + 39 =", 0, 9),)
    found = await session.score(think(spans=spans), " 52.\n", top=2)
    assert len(found.logprobs) == len(found.offsets) >= 3
    assert all(lp.rank is not None and len(lp.top) == 2 for lp in found.logprobs)


async def aborts(backend: Backend) -> None:
    llm = backend._engine._llm  # type: ignore[attr-defined]  # the engine's own books

    async def broken(i: int) -> int:
        chunks = await read(backend.session(SUM, f"k{i}"), think(seed=i), most=2)
        return sum(chunk.tokens for chunk in chunks)

    kept = await asyncio.gather(*(broken(i) for i in range(100)))
    assert min(kept) >= 2
    assert llm.get_num_unfinished_requests() == 0
    # A cancelled reader aborts too.
    task = asyncio.create_task(read(backend.session(SUM, "c"), think()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert llm.get_num_unfinished_requests() == 0


async def the_prefix_cache(backend: Backend) -> None:
    session = backend.session(SUM, "p")
    spans: tuple[Span, ...] = ()
    shares = []
    known = 0
    for turn in range(100):
        if turn % 2:
            spans += (Span("teacher", "think", f" Step {turn}: {turn} + 7 = {turn + 7}.", turn, 8),)
            continue
        before = session.usage()
        chunks = await read(session, think(spans=spans, seed=turn, max_tokens=6))
        after = session.usage()
        assert before is not None
        assert after is not None
        possible = known // 32 * 32
        if possible:
            shares.append((after.cached - before.cached) / possible)
        known = after.prompt - before.prompt + sum(c.tokens for c in chunks)
        ids = tuple(i for c in chunks for i in c.ids or ())
        text = text_of(chunks)
        if chunks[-1].finish == "end_of_thinking":
            text, ids, known = "Hmm", (), 0
        spans += (Span("student", "think", text, turn, len(ids), ids or None, len(text) if ids else 0),)
    assert len(shares) >= 25
    assert statistics.mean(shares) >= 0.95, shares


async def limits(backend: Backend) -> None:
    spans = (Span("teacher", "think", "so " * 2100, 0, 2100),)
    with pytest.raises(BackendRejected, match="the context 2,048"):
        await read(backend.session(SUM, "x"), think(spans=spans))
    nearly = (Span("teacher", "think", "so " * 1000, 0, 1000),)
    chunks = await read(backend.session(SUM, "y"), think(spans=nearly, max_tokens=5))
    assert sum(chunk.tokens for chunk in chunks) <= 5


async def test_an_engine_that_dies_is_down() -> None:
    others = engine_processes()  # the servers of other tests are children of this process, too
    student = make_local_backend("student")
    await student.start()
    async with aclosing(student.session(SUM, "d").generate(think())) as stream:
        await anext(stream)
        for child in engine_processes() - others:
            os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(BackendDown, match="process has died"):
            async for _ in stream:
                pass
            async for _ in student.session(SUM, "e").generate(think()):
                pass
    await student.close()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"blok_size": "32"},
            "blok_size: neither tessy nor vLLM has such an option; did you mean 'block_size'",
        ),
        ({"max_num_seqs": "many"}, "max_num_seqs: .*integer.*'many'"),
    ],
)
async def test_wrong_options(options: dict[str, str], match: str) -> None:
    backend = make_local_backend("student", **options)
    with pytest.raises(ConfigError, match=match):
        await backend.start()
    await backend.close()


async def test_wrong_models(tmp_path: Path) -> None:
    from tessy_vllm.backend import VllmBackend
    from tessy_vllm.options import VllmOptions

    backend = VllmBackend(str(tmp_path / "none"), VllmOptions())
    with pytest.raises(ConfigError, match="no such model folder"):
        await backend.start()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((MODELS / "student" / name).read_bytes())
    backend = VllmBackend(str(tmp_path), VllmOptions())
    with pytest.raises((ConfigError, BackendError)) as caught:
        await backend.start()
    assert str(tmp_path) in str(caught.value)
    await backend.close()
