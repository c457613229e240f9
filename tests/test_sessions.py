"""A trajectory's sessions are all closed, whatever comes between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from tessy.abc import Backend, Capabilities, Options, Session
from tessy.boundary import Origin
from tessy.errors import PluginError
from tessy.sessions import Sessions, halted
from tessy.types import Chunk, Prompt, Request, Usage


class Slow(Backend):
    """Its sessions take a while to close."""

    def __init__(self) -> None:
        super().__init__("slow", Options())
        self.closing = self.closed = 0

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    def session(self, prompt: Prompt, key: str) -> Session:
        backend = self

        class Open(Session):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                yield Chunk(finish="stop")

            async def close(self) -> None:
                backend.closing += 1
                await asyncio.sleep(0.01)  # long enough to be cancelled in
                backend.closed += 1

        return Open()


async def test_a_cancellation_amid_the_closing_leaves_no_session_open() -> None:
    backend = Slow()
    origins = {role: Origin("backend", role) for role in ("teacher", "student")}
    sessions = Sessions(dict.fromkeys(origins, backend), origins, Prompt.user("?"), None, "p#0")
    for role in origins:
        sessions[role]
    closing = asyncio.ensure_future(sessions.close())
    while not backend.closing:
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait((closing,))
    assert closing.cancelled(), "the cancellation is passed on"
    assert (backend.closing, backend.closed) == (2, 1), "the one under way was told, the other closed"


class Halting(Session):
    """What it writes on for nobody costs two tokens, whatever becomes of its halt."""

    def __init__(self, halt: Callable[[], Awaitable[None]]) -> None:
        self._halt, self._generated = halt, 5

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        yield Chunk(finish="stop")

    def usage(self) -> Usage:
        return Usage(generated=self._generated)

    async def halt(self) -> None:
        self._generated += 2
        await self._halt()


async def nothing() -> None:
    pass


async def hangs() -> None:
    await asyncio.sleep(60)


async def breaks() -> None:
    raise PluginError("it breaks")


async def gives_up() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("halt", [nothing, hangs, breaks, gives_up])
async def test_a_session_that_does_not_halt_costs_no_trace(
    halt: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tessy.sessions._CLOSING", 0.01)
    with caplog.at_level(logging.WARNING):
        cost = await halted(Halting(halt), Origin("backend", "it"))
    assert cost == Usage(generated=2)
    assert ("does not halt" in caplog.text) == (halt is hangs)
