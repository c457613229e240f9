"""The client of vLLM's server over real sockets: thousands of streams, replicas, servers that misbehave."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from helpers import WordDetector, check_row, rows, write_prompts
from tessy.abc import Options, Session
from tessy.boundary import Origin
from tessy.crew import Crew
from tessy.detection import Detection
from tessy.errors import BackendRejected, ConfigError
from tessy.execution import execute
from tessy.observer import Observer
from tessy.plan import Outcome, Plan
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy.remote.endpoint import Endpoint
from tessy.remote.sse import EventBuffer
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.testing.simulated import wire
from tessy.types import Prompt, Request, Turn, Usage
from tessy_vllm.backend import VllmBackend
from tessy_vllm.metrics import read_metrics
from tessy_vllm.options import VllmOptions
from vllm_standin import VllmStandIn

THINK = Request(Turn("student", "think"), (), 1)


@pytest.fixture
async def server() -> AsyncIterator[VllmStandIn]:
    server = VllmStandIn()
    await server.start()
    yield server
    await server.stop()


def make(*urls: str, **options: Any) -> VllmBackend:
    return VllmBackend("student", VllmOptions(**options), url=",".join(urls))


async def read(backend: VllmBackend, key: str, request: Request = THINK) -> int:
    session = backend.session(Prompt.user("Why?"), key)
    tokens = 0
    async with aclosing(session.generate(request)) as stream:
        async for chunk in stream:
            tokens += chunk.tokens
    await session.close()
    return tokens


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


async def test_two_thousand_streams_at_once_without_a_connection_error() -> None:
    """None goes on before all are there, and nobody waits for what cannot come: the first fault ends it."""
    port = free_port()
    script = Path(__file__).parents[1] / "vllm_standin.py"
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(port), "hold", stdout=asyncio.subprocess.PIPE
    )
    # How long it takes to open so many in one burst is the machine's business: no time-out is to be hit.
    patient = {"connect_timeout": 3600, "first_token_timeout": 3600, "token_timeout": 3600}
    backend = make(f"http://127.0.0.1:{port}", max_concurrency=2000, **patient)
    reading: list[asyncio.Task[int]] = []
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        await backend.start()
        pool = backend._engine.pool  # type: ignore[attr-defined]
        # Waste no time on finding out what this server stands.
        pool._endpoints[0].window.limit = 2000.0
        some = Request(Turn("student", "think", max_tokens=12), (), 1)
        reading += [asyncio.create_task(read(backend, f"k{i}", some)) for i in range(2000)]
        await all_open(backend, reading)
        async with aiohttp.ClientSession() as client, client.post(f"http://127.0.0.1:{port}/go") as said:
            assert said.status == 200
        assert set(await asyncio.gather(*reading)) == {12}, "every stream was read to its end"
        (stats,) = pool.stats.values()
        assert (stats.requests, stats.failures) == (2000, 0)
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        await backend.close()
        process.kill()
        await process.communicate()


async def all_open(backend: VllmBackend, reading: Sequence[asyncio.Task[int]]) -> None:
    """Wait until the server works on all of them.

    Streams that fail would be tried again once the breaker's probe is answered, which this server does not do
    before all are there: so a failure is told at once. Else it waits while more come, at any pace.
    """
    pool = backend._engine.pool  # type: ignore[attr-defined]
    most, since = 0, time.monotonic()
    while most < len(reading):
        await asyncio.sleep(0.2)  # thousands of connections are being made meanwhile
        (stats,) = pool.stats.values()
        assert not stats.failures, f"{stats.failures} failed: {pool._outage._last_error}"
        assert not any(task.done() for task in reading)
        now = await backend.active() or 0
        if now > most:
            most, since = now, time.monotonic()
        assert time.monotonic() < since + 120, f"no further stream for two minutes: {most} of {len(reading)}"


async def write(folder: Path, student: VllmBackend, count: int) -> Outcome:
    crew = Crew(
        TessyPolicy(TessyOptions()),
        Origin("policy", "tessy"),
        {"teacher": ScriptedBackend("teacher", ScriptedOptions(think=40)), "student": student},
        {role: Origin("backend", "any") for role in ("teacher", "student")},
        Detection(WordDetector(Options()), Origin("style detector", "words", "tests")),
    )
    prompts = write_prompts(folder / "prompts.jsonl", count)
    return await execute(Plan(str(prompts), folder / "run", crew, "tessy", {}, concurrency=48), Observer())


async def test_three_replicas_one_dead_one_slow_one_healthy(tmp_path: Path) -> None:
    dead, slow, well = VllmStandIn(), VllmStandIn(first=0.2, delay=0.005), VllmStandIn()
    urls = [await server.start() for server in (dead, slow, well)]
    backend = make(*urls)
    moved: Counter[str] = Counter()
    pool = backend._engine.pool  # type: ignore[attr-defined]
    settle = pool._settle

    def watched(key: str, endpoint: Endpoint) -> None:
        moved[key] += pool._homes.get(key) not in (None, endpoint)
        settle(key, endpoint)

    pool._settle = watched

    async def die_under_way() -> None:
        while dead.streams < 20:
            await asyncio.sleep(0.001)
        await dead.stop()

    dying = asyncio.create_task(die_under_way())
    outcome = await write(tmp_path, backend, 48)
    await dying
    assert (outcome.done, outcome.failed) == (48, 0), (tmp_path / "run" / "failures.jsonl").read_text()
    for row in rows(tmp_path / "run"):
        check_row(row)
    stats = pool.stats
    assert stats[urls[0]].failures > 0
    assert set(moved.values()) == {0, 1}, "its replica has failed once"
    assert stats[urls[0]].moves == moved.total()
    assert stats[urls[1]].moves == stats[urls[2]].moves == 0
    assert slow.streams > 0
    for server in (dead, slow, well):
        await server.stop()
        assert server.running == 0


async def test_streams_that_break_off_lose_nothing(server: VllmStandIn, tmp_path: Path) -> None:
    server.breaks = 20
    outcome = await write(tmp_path, make(server.url), 24)
    assert (outcome.done, outcome.failed) == (24, 0)
    for row in rows(tmp_path / "run"):
        check_row(row)


async def test_a_server_that_goes_away_and_comes_back(server: VllmStandIn, tmp_path: Path) -> None:
    port = int(server.url.rpartition(":")[2])
    backend = make(server.url)
    server.delay = 0.002
    running = asyncio.create_task(write(tmp_path, backend, 24))
    while server.streams < 30:
        await asyncio.sleep(0.01)
    await server.stop()
    await asyncio.sleep(0.5)
    await server.start(port)
    outcome = await running
    assert (outcome.done, outcome.failed) == (24, 0), (tmp_path / "run" / "failures.jsonl").read_text()


async def test_a_server_with_other_tokens_is_refused(server: VllmStandIn) -> None:
    server.vocabulary_shift = 1
    backend = make(server.url)
    with pytest.raises(ConfigError, match=r"is not the server's"):
        await backend.start()
    await backend.close()


async def test_a_server_that_returns_no_ids_is_refused(server: VllmStandIn) -> None:
    server.ids = False
    backend = make(server.url)
    await backend.start()
    with pytest.raises(BackendRejected, match=r"does not return token ids.*openai:MODEL@URL"):
        await read(backend, "k")
    await backend.close()


async def test_a_prompt_that_is_refused_costs_nothing(server: VllmStandIn) -> None:
    backend = make(server.url)
    await backend.start()
    session = backend.session(Prompt.user("Why?"), "k")
    await text_of(session)
    before = session.usage()
    server.refuses = True
    with pytest.raises(BackendRejected, match="the context is 2048 tokens"):
        await text_of(session)
    assert session.usage() - before == Usage(requests=1)
    await backend.close()


async def text_of(session: Session) -> str:
    async with aclosing(session.generate(THINK)) as stream:
        return "".join([chunk.text async for chunk in stream])


async def test_what_is_no_vllm_is_refused() -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>welcome</html>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/v1/models", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    backend = make(f"http://127.0.0.1:{runner.addresses[0][1]}")
    with pytest.raises(ConfigError, match=r"does not speak vLLM's API.*welcome"):
        await backend.start()
    await backend.close()
    await runner.cleanup()


def test_options_for_a_server() -> None:
    with pytest.raises(ConfigError, match="needs a model"):
        VllmBackend("", VllmOptions(), url="http://x")
    with pytest.raises(ConfigError, match="no such option for a server: block_size"):
        make("http://x", block_size="32")


def test_events_however_they_arrive() -> None:
    data = ': ping\n\ndata: {"a": "é"}\r\n\r\nevent: x\ndata:{"a": 2}\n\n\ndata: [DONE]\n\n'.encode()
    for size in range(1, len(data) + 1):
        buffer = EventBuffer()
        events = [e for i in range(0, len(data), size) for e in buffer.feed(data[i : i + size])]
        assert events == [{"a": "é"}, {"a": 2}]
        assert buffer.done
    buffer = EventBuffer()
    assert buffer.feed(b'data: {"a": 1}\n\ndata: {nonsense\n\ndata: {"a": 3}\n\n') == [{"a": 1}]
    assert isinstance(buffer.error, ValueError)


def test_metrics_are_summed_over_engines() -> None:
    page = (
        '# HELP vllm:num_requests_running x\nvllm:num_requests_running{engine="0"} 3.0\n'
        'vllm:num_requests_running{engine="1"} 4.0\nvllm:kv_cache_usage_perc 1e-05\nprocess_x 3\n'
    )
    assert read_metrics(page) == {"num_requests_running": 7.0, "kv_cache_usage_perc": 1e-05}


class Locked(VllmStandIn):
    """Wants a key."""

    async def _models(self, request: web.Request) -> web.Response:
        return wire.refusal(401, "Unauthorized")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "no key was given; api_key_env= names the environment variable"),
        ({"api_key_env": "TESSY_WRONG"}, "the key is refused, that of the environment variable TESSY_WRONG"),
    ],
    ids=["none", "wrong"],
)
async def test_a_server_that_wants_a_key(
    options: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESSY_WRONG", "sk-wrong-4821")
    server = Locked()
    await server.start()
    backend = make(server.url, **options)
    try:
        with pytest.raises(ConfigError, match=rf"{said}.*HTTP 401: Unauthorized") as caught:
            await backend.start()
        assert "sk-wrong" not in str(caught.value)
    finally:
        await backend.close()
        await server.stop()
