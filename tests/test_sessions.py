"""A trajectory's sessions are all closed, whatever comes between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from tessy.abc import Backend, Capabilities, Options, Session
from tessy.boundary import Origin
from tessy.sessions import Sessions
from tessy.types import Chunk, Prompt, Request


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
