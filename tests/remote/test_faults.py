"""Every fault of the catalogue, over real sockets, at both remote backends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from faultproxy import BREAKS, FAULTS, FINISHED, HARMLESS, WAITS, Fault, FaultProxy
from tessy.abc import Backend
from tessy.testing.simulated import Lengths, SimulatedServer, Speed
from tessy.types import Chunk, Prompt, Request, Turn
from tessy_openai.backend import OpenAIBackend
from tessy_openai.options import OpenAIOptions
from tessy_vllm.backend import VllmBackend
from tessy_vllm.options import VllmOptions

REQUEST = Request(Turn("student", "think", max_tokens=40), (), 7)
FAST = Speed(first=0.0, token=0.0005)
TIMES = {"first_token_timeout": 1.5, "token_timeout": 1.5}
KINDS = pytest.mark.parametrize("kind", ["openai", "vllm"])


def make(kind: str, url: str, **options: float) -> Backend:
    given = {**TIMES, **options}
    if kind == "vllm":
        return VllmBackend("model", VllmOptions(**given), url=url)  # type: ignore[arg-type]
    return OpenAIBackend("model", OpenAIOptions(**given), url=f"{url}/v1")  # type: ignore[arg-type]


@asynccontextmanager
async def proxied(folder: Path) -> AsyncIterator[FaultProxy]:
    server = SimulatedServer("model", folder, speed=FAST, lengths=Lengths(thinking=300, spread=0.1))
    async with FaultProxy(await server.start()) as proxy:
        try:
            yield proxy
        finally:
            await server.stop()


async def read(backend: Backend, key: str = "k") -> list[Chunk]:
    session = backend.session(Prompt.user("Why?"), key)
    try:
        async with aclosing(session.generate(REQUEST)) as stream:
            return [chunk async for chunk in stream]
    finally:
        await session.close()


def said(chunks: list[Chunk]) -> tuple[str, str | None]:
    return "".join(chunk.text for chunk in chunks), chunks[-1].finish


def named(faults: list[Fault]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", faults, ids=lambda fault: fault.name)


@KINDS
@named([*WAITS, *FINISHED, *HARMLESS])
async def test_a_fault_that_costs_no_more_than_time(kind: str, fault: Fault, tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        backend = make(kind, proxy.url)
        await backend.start()
        try:
            expected = said(await read(backend))
            assert expected[1] == "length"
            assert len(expected[0]) > 40
            before, proxy.next = proxy.requests, [fault]
            assert said(await read(backend)) == expected
            assert proxy.struck == {fault.name: 1}
            assert proxy.requests - before == (2 if fault in WAITS else 1), "asked again only if nothing came"
        finally:
            await backend.close()


@KINDS
async def test_a_stall_after_the_last_token_does_not_wait_for_a_token(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tessy_vllm.server.GRACE", 0.1)
    monkeypatch.setattr("tessy_openai.session.GRACE", 0.1)
    async with proxied(tmp_path) as proxy:
        backend = make(kind, proxy.url, token_timeout=60)
        await backend.start()
        try:
            expected = said(await read(backend))
            proxy.next = [fault for fault in FINISHED if fault.name.startswith("stall")]
            assert said(await asyncio.wait_for(read(backend), 20)) == expected
            assert proxy.struck == {"stall after the last token": 1}
            # The place is free again, and nothing is held against the server.
            assert said(await asyncio.wait_for(read(backend), 20)) == expected
            servers = backend.facts()["servers"]
            assert isinstance(servers, dict)
            (stats,) = servers.values()
            assert (stats["failures"], stats["retries"]) == (0, 0)
        finally:
            await backend.close()


@KINDS
@named(BREAKS)
async def test_a_fault_that_breaks_a_turn_off(kind: str, fault: Fault, tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        backend = make(kind, proxy.url)
        await backend.start()
        try:
            expected = said(await read(backend))
            proxy.next = [fault]
            with pytest.raises(fault.error, match=fault.says or None) as caught:
                await read(backend)
            assert type(caught.value) is fault.error
            assert proxy.struck == {fault.name: 1}
            # Nothing of it remains: asked again, all comes as if it had not been.
            assert said(await read(backend)) == expected
        finally:
            await backend.close()


@KINDS
async def test_a_server_that_is_restarted_refuses_for_a_while(kind: str, tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        backend = make(kind, proxy.url)
        await backend.start()
        try:
            expected = said(await read(backend))
            await proxy.refuse()
            reading = asyncio.create_task(read(backend))
            await asyncio.sleep(1.0)  # several attempts are refused meanwhile
            assert not reading.done()
            await proxy.listen()
            assert said(await asyncio.wait_for(reading, 30)) == expected
        finally:
            await backend.close()


def test_all_faults_come_in_the_end() -> None:
    proxy, chance = FaultProxy("", rate=0.2), random.Random(1)
    drawn = [proxy._fault(chance) for _ in range(5000)]
    assert 900 < sum(fault is not None for fault in drawn) < 1100
    assert {fault for fault in drawn if fault is not None} == set(FAULTS)
