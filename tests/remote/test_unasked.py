"""What has not gone out to a server, or has failed there, is not booked as if it had been read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from openai_standin import Service, serving
from tessy.abc import Backend, Session
from tessy.remote.endpoint import EndpointStats
from tessy.types import Prompt, Request, Turn, Usage
from tessy_openai.backend import OpenAIBackend
from tessy_openai.options import OpenAIOptions
from tessy_vllm.backend import VllmBackend
from tessy_vllm.options import VllmOptions
from vllm_standin import VllmStandIn

THINK = Request(Turn("student", "think"), (), 1)

Stats = Callable[[], Mapping[str, EndpointStats]]


@asynccontextmanager
async def vllm() -> AsyncIterator[tuple[Backend, Stats, Callable[[], Any]]]:
    server = VllmStandIn(first=60)
    backend = VllmBackend("student", VllmOptions(max_concurrency=1), url=await server.start())
    try:
        await backend.start()
        engine: Any = backend.running.engine
        yield backend, lambda: engine.pool.stats, server.stop
    finally:
        await backend.close()
        await server.stop()


@asynccontextmanager
async def openai() -> AsyncIterator[tuple[Backend, Stats, Callable[[], Any]]]:
    async with serving(Service("vllm")) as service:
        backend = OpenAIBackend("model", OpenAIOptions(max_concurrency=1), url=service.url)

        async def away() -> None:
            service.faults = [_busy] * 100

        try:
            await backend.start()
            service.delay = 60
            yield backend, lambda: backend.running.pool.stats, away
        finally:
            await backend.close()


def _busy(request: web.Request) -> web.Response:
    return web.Response(status=503)


async def first(session: Session) -> None:
    stream = session.generate(THINK)
    try:
        await anext(stream)
    finally:
        await stream.aclose()


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)  # a server answers when it does


async def taken_back(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


@pytest.mark.parametrize("served", [vllm, openai])
async def test_what_waits_for_a_place_costs_nothing(served: Any) -> None:
    async with served() as (backend, stats, _):
        (before,) = (one.requests for one in stats().values())
        reads, waits = (backend.session(Prompt.user("Why?"), key) for key in "ab")
        reading = asyncio.create_task(first(reads))
        await until(lambda: next(iter(stats().values())).requests > before)
        waiting = asyncio.create_task(first(waits))
        await asyncio.sleep(0.05)  # it would have gone out by now, had it not to wait
        await taken_back(waiting)
        assert waits.usage() == Usage()
        await taken_back(reading)
        usage = reads.usage()
        assert usage is not None
        assert usage.prompt > 0
        assert usage.requests == 1


@pytest.mark.parametrize("served", [vllm, openai])
async def test_what_waits_for_another_try_was_not_read(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pausing = asyncio.Event()

    async def pause(*args: Any) -> None:
        pausing.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("tessy.remote.pool.Pool._pause", pause)
    async with served() as (backend, _, away):
        await away()
        session = backend.session(Prompt.user("Why?"), "a")
        asking = asyncio.create_task(first(session))
        await pausing.wait()
        await taken_back(asking)
        assert session.usage() == Usage(requests=1)
