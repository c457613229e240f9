"""Traces that wait for KV memory, and what they must not keep from others meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from helpers import crew, on_virtual_time, plan, write_prompts
from tessy.abc import Capabilities, Session
from tessy.execution import execute
from tessy.observer import Observer
from tessy.remote import Pool, RemoteOptions
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.types import Chunk, Prompt, Request, Usage
from test_ahead import Guessing

_PLACES = 2


class Server(ScriptedBackend):
    """A model behind a URL that takes few requests at once and has little memory."""

    def __init__(self, name: str, options: ScriptedOptions) -> None:
        super().__init__(name, options)
        self.pool = Pool(["http://server"], RemoteOptions(max_concurrency=_PLACES), name=name)

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, ahead=True, kv_tokens=1200)

    def session(self, prompt: Prompt, key: str) -> Session:
        return Client(self, super().session(prompt, key), key)


class Client(Session):
    def __init__(self, server: Server, inner: Session, key: str) -> None:
        self.server = server
        self.inner = inner
        self.key = key

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        async with aclosing(
            self.server.pool.stream(self.key, lambda url: self.inner.generate(request))
        ) as all_:
            async for chunk in all_:
                yield chunk

    def usage(self) -> Usage | None:
        return self.inner.usage()

    async def close(self) -> None:
        self.server.pool.forget(self.key)
        await self.inner.close()


class Watching(Observer):
    done = most = 0

    def finished(self, row: str) -> None:
        self.done += 1

    def paused(self, count: int) -> None:
        self.most = max(self.most, count)


def test_who_waits_for_memory_gives_back_the_place_of_what_it_asked_ahead(tmp_path: Path) -> None:
    """Else those that may go on wait for these places, and the paused ones for them, for ever."""
    options = ScriptedOptions(think=600, delay=0.01, style=6, capability=12)
    pair = {role: Server(role, options) for role in ("teacher", "student")}
    made = crew(detector=Guessing(), teacher=pair["teacher"], student=pair["student"])
    prompts, watching = write_prompts(tmp_path / "p.jsonl", 12), Watching()

    async def written() -> int:
        running = asyncio.create_task(
            execute(plan(tmp_path / "run", prompts, made, concurrency=12), watching)
        )
        clock = asyncio.get_running_loop().time
        while watching.done < 12 and clock() < 10_000:
            await asyncio.sleep(1)
        if watching.done < 12:
            running.cancel()
        await asyncio.wait([running])
        return watching.done

    assert on_virtual_time(written()) == 12
    assert watching.most > _PLACES, "or nothing was tested"
