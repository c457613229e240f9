"""Answers without end: a page that never ends would fill the memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from tessy.errors import BackendRejected
from tessy.remote.sizes import LONGEST_PAGE

__all__ = ["bound"]


async def bound(response: httpx2.Response) -> None:
    """A hook for the client: from now on the response has a limit.

    A stream of events has one already: whoever reads it limits its lines (`EventBuffer`).
    """
    events = "text/event-stream" in response.headers.get("content-type", "")
    if isinstance(response.stream, httpx2.AsyncByteStream) and not (events and response.is_success):
        response.stream = _Bounded(response.stream)


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for data in self._stream:
            length += len(data)
            if length > LONGEST_PAGE:
                raise BackendRejected(f"the service sent more than {LONGEST_PAGE >> 20} MiB")
            yield data

    async def aclose(self) -> None:
        await self._stream.aclose()
