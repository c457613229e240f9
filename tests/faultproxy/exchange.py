"""One request on its way through the proxy: what a fault may do with it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any

import aiohttp
from aiohttp import web

__all__ = ["Exchange"]

_HOP = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}
"""Headers that belong to one connection."""


class Exchange:
    """A request, the server that it is meant for, and chance."""

    def __init__(
        self, request: web.Request, body: bytes, upstream: str, client: aiohttp.ClientSession, seed: str
    ) -> None:
        self.request = request
        self.chance = random.Random(seed)
        self.struck: Callable[[], None] = lambda: None
        """Called as the fault shows itself; a stream that its reader closes early may end before."""
        self._body = body
        self._url = upstream + request.path_qs
        self._client = client

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The server's own answer, event by event, each with its blank line."""
        rest = b""
        async with self._send() as answer:
            async for data in answer.content.iter_any():
                *events, rest = (rest + data).split(b"\n\n")
                for event in events:
                    yield event + b"\n\n"

    async def pass_on(self) -> web.StreamResponse:
        """Without a fault."""
        async with self._send() as answer:
            kind = answer.headers.get("Content-Type", "")
            if "event-stream" not in kind:
                whole = await answer.read()
                return web.Response(body=whole, status=answer.status, headers={"Content-Type": kind})
            response = await self.open(kind)
            async for data in answer.content.iter_any():
                await response.write(data)
            return response

    async def open(self, kind: str = "text/event-stream; charset=utf-8") -> web.StreamResponse:
        """The head of a stream."""
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(self.request)
        return response

    async def until(self, *, last: bool = False) -> web.StreamResponse:
        """The stream up to the moment of the fault: some events on, never past the end.

        ``last``: up to the last token and its reason, but without what follows it.
        """
        left = self.chance.randint(1, 6)
        response = await self.open()
        async with aclosing(self.events()) as events:
            async for event in events:
                ends = finish_of(event) is not None
                if ends and not last:
                    break
                await response.write(event)
                left -= 1
                if ends or (left == 0 and not last):
                    break
        # What was written must be read before the connection ends, or a reset takes it along.
        await asyncio.sleep(0.02)
        return response

    def reset(self) -> None:
        """End the connection as a process does that dies: no end of the stream, no farewell."""
        self.struck()
        if self.request.transport is not None:
            self.request.transport.abort()

    async def hang(self) -> None:
        """Nothing more, until the client gives up."""
        self.struck()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3600)

    def _send(self) -> Any:
        headers = {name: value for name, value in self.request.headers.items() if name.lower() not in _HOP}
        return self._client.request(
            self.request.method, self._url, data=self._body or None, headers=headers, allow_redirects=False
        )


def finish_of(event: bytes) -> str | None:
    """Why generation has ended, if this event says so."""
    with suppress(ValueError, AttributeError, IndexError, KeyError):  # comments, [DONE]: no reason in them
        reason = json.loads(event.strip().removeprefix(b"data:"))["choices"][0].get("finish_reason")
        return None if reason is None else str(reason)
    return None
