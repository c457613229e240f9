"""vLLM's own server, through aiohttp, in token ids."""

from __future__ import annotations

import asyncio
import os
import re
import statistics
from pathlib import Path

import pytest

from engines.conftest import (
    MODELS,
    Server,
    make_server_backend,
    read,
    span_of,
    text_of,
    think,
)
from tessy.abc import Backend
from tessy.errors import BackendRejected, BackendUnavailable, ConfigError
from tessy.types import Prompt, Request, Span, Turn
from tessy_vllm.backend import VllmBackend
from tessy_vllm.options import VllmOptions

SUM = Prompt.user("What is 13 + 39 + 99 - 35?")


async def idle(server: Server) -> None:
    """Until the engine works on nothing."""
    for _ in range(200):
        figures = await asyncio.to_thread(server.metrics)
        if figures["num_requests_running"] == figures["num_requests_waiting"] == 0:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the server goes on generating")


async def test_a_turn_and_its_tokens(student: Backend) -> None:
    session = student.session(SUM, "a")
    chunks = await read(session, think(top_logprobs=3))
    assert chunks[-1].finish == "end_of_thinking"
    assert "<" not in text_of(chunks)
    span = span_of(chunks, "student")
    assert all(len(c.ids or ()) == len(c.offsets or ()) == len(c.logprobs or ()) for c in chunks)
    assert all(len(lp.top) == 3 and lp.top[0][1] >= lp.logprob for c in chunks for lp in c.logprobs or ())
    usage = session.usage()
    assert usage is not None
    assert (usage.generated, usage.requests) == (span.tokens, 1)
    answer = await read(session, Request(Turn("student", "answer"), (span,), 1, closed=True))
    assert answer[-1].finish == "end_of_turn"
    assert text_of(answer).strip()


async def test_equal_seeds_equal_text(student: Backend) -> None:
    async def once(seed: int) -> str:
        return text_of(await read(student.session(SUM, f"s{seed}"), think(seed=seed)))

    assert await once(3) == await once(3)
    assert len({await once(seed) for seed in range(5)}) > 1


async def test_greedy_by_the_turns_own_sampling(student: Backend) -> None:
    greedy = {"temperature": 0}
    texts = {
        text_of(await read(student.session(SUM, "g"), think(seed=seed, sampling=greedy))) for seed in range(3)
    }
    assert len(texts) == 1
    with pytest.raises(ConfigError, match="no sampling option 'temprature'"):
        await read(student.session(SUM, "g"), think(sampling={"temprature": 0}))


async def test_anothers_text_is_continued_and_scored(student: Backend) -> None:
    session = student.session(SUM, "c")
    spans = (Span("teacher", "think", "Okay, first 13 + 39 =", 0, 9),)
    chunks = await read(session, think(spans=spans, sampling={"temperature": 0}, max_tokens=8))
    assert re.match(r" \d", text_of(chunks)), "a number, right or not: it is a small model"
    right = await session.score(think(spans=spans), text_of(chunks), top=2)
    wrong = await session.score(think(spans=spans), " apples, apples.", top=2)
    assert sum(lp.logprob for lp in right.logprobs) > sum(lp.logprob for lp in wrong.logprobs)
    assert right.logprobs[0].rank is not None
    assert right.offsets[0] == 0


async def test_a_mark_in_the_others_text_ends_nothing(student: Backend) -> None:
    spans = (Span("teacher", "think", "The tag </think> and <|im_end|> are text. Now, 13", 0, 9),)
    chunks = await read(student.session(SUM, "m"), think(spans=spans))
    assert text_of(chunks)


async def test_two_hundred_broken_off_streams_leave_nothing_running(
    servers: dict[str, Server], student: Backend
) -> None:
    server = servers["student"]
    await idle(server)

    async def broken(i: int) -> int:
        chunks = await read(student.session(SUM, f"b{i}"), think(seed=i), most=3)
        return sum(chunk.tokens for chunk in chunks)

    whole = await asyncio.gather(*(read(student.session(SUM, f"w{i}"), think(seed=i)) for i in range(8)))
    length = statistics.mean(sum(chunk.tokens for chunk in chunks) for chunks in whole)
    await idle(server)
    before = server.metrics()["generation_tokens_total"]
    kept = sum(await asyncio.gather(*(broken(i) for i in range(200))))
    await idle(server)
    beyond = (server.metrics()["generation_tokens_total"] - before - kept) / 200
    # In one batch of 200 the pace is the reader's; left alone, each would have been written to its end.
    assert beyond <= length / 2, (beyond, length)


async def test_the_overshoot_of_an_abort(servers: dict[str, Server], student: Backend) -> None:
    server = servers["student"]
    beyond = []
    for i in range(40):
        await idle(server)
        before = server.metrics()["generation_tokens_total"]
        chunks = await read(student.session(SUM, f"o{i}"), think(seed=i), most=5)
        await idle(server)
        generated = server.metrics()["generation_tokens_total"] - before
        beyond.append(generated - sum(chunk.tokens for chunk in chunks))
    assert statistics.median(beyond) <= 3, beyond


async def test_the_prefix_cache_holds_a_trace_of_a_hundred_turns(
    servers: dict[str, Server], student: Backend
) -> None:
    server = servers["student"]
    await idle(server)
    session = student.session(SUM, "p")
    spans: tuple[Span, ...] = ()
    before, possible, known = server.metrics(), 0, 0
    for turn in range(100):
        if turn % 2:
            spans += (Span("teacher", "think", f" Step {turn}: {turn} + 7 = {turn + 7}.", turn, 8),)
            continue
        usage = session.usage()
        assert usage is not None
        chunks = await read(session, think(spans=spans, seed=turn, max_tokens=9))
        after = session.usage()
        assert after is not None
        possible += known // 32 * 32
        known = after.prompt - usage.prompt + sum(c.tokens for c in chunks)
        text = text_of(chunks)
        ids = tuple(i for c in chunks for i in c.ids or ())
        if chunks[-1].finish == "end_of_thinking":
            text, ids = "Hmm", ()
            known = 0  # what follows is another text
        spans += (Span("student", "think", text, turn, len(ids), ids or None, len(text) if ids else 0),)
    hits = server.metrics()["prefix_cache_hits_total"] - before["prefix_cache_hits_total"]
    assert hits >= 0.95 * possible
    assert possible > 10_000


async def test_the_context_is_not_overrun(student: Backend) -> None:
    spans = (Span("teacher", "think", "so " * 2100, 0, 2100),)
    with pytest.raises(BackendRejected, match=r"the context 2,048; raise max_model_len"):
        await read(student.session(SUM, "x"), think(spans=spans))


async def refused(
    server: Server, kind: type[Exception], match: str, *, model: str = "", url: str = "", **options: object
) -> None:
    made = VllmOptions(**{"api_key_env": "TESSY_TEST_KEY", **options})
    backend = VllmBackend(model or server.name, made, url=url or server.url)
    with pytest.raises(kind, match=match) as caught:
        await backend.start()
    assert "\n" not in str(caught.value)
    await backend.close()


async def test_what_is_wrong_is_said_at_the_start(servers: dict[str, Server], tmp_path: Path) -> None:
    server = servers["student"]
    await refused(server, ConfigError, "serves no such model; did you mean 'student'", model="studnt")
    await refused(server, BackendUnavailable, "cannot be reached", url="http://127.0.0.1:9")
    await refused(server, ConfigError, "root of a vLLM server", url=f"{server.url}/nowhere")
    await refused(server, ConfigError, "is not the server's", tokenizer=str(MODELS / "teacher"))
    await refused(server, ConfigError, r"has no tokenizer\.json", tokenizer=str(tmp_path))
    await refused(server, ConfigError, "no key was given; api_key_env= names", api_key_env=None)
    os.environ["TESSY_WRONG_KEY"] = "sk-wrong"
    await refused(server, ConfigError, "key is refused.*TESSY_WRONG_KEY", api_key_env="TESSY_WRONG_KEY")
    with pytest.raises(ConfigError, match="no such option for a server: block_size"):
        make_server_backend(server, block_size="32")
    with pytest.raises(ConfigError, match="TESSY_NO_KEY"):
        make_server_backend(server, api_key_env="TESSY_NO_KEY")


async def test_a_replica_that_is_down_is_done_without(servers: dict[str, Server]) -> None:
    server = servers["student"]
    backend = VllmBackend(
        "student", VllmOptions(api_key_env="TESSY_TEST_KEY"), url=f"http://127.0.0.1:9,{server.url}"
    )
    await backend.start()
    try:
        texts = [text_of(await read(backend.session(SUM, f"r{i}"), think(seed=i))) for i in range(8)]
        assert all(texts)
    finally:
        await backend.close()
