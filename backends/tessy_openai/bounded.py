"""Answers without end: a service that sends a line that never ends would fill the memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from tessy.errors import BackendRejected
from tessy.remote.sizes import LONGEST_LINE, LONGEST_PAGE

__all__ = ["bound"]


async def bound(response: httpx2.Response) -> None:
    """A hook for the client: from now on the response's lines have a limit."""
    if isinstance(response.stream, httpx2.AsyncByteStream):
        streamed = "text/event-stream" in response.headers.get("content-type", "")
        response.stream = _Bounded(response.stream, LONGEST_LINE if streamed else LONGEST_PAGE)


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for data in self._stream:
            end = data.rfind(b"\n")
            length = length + len(data) if end < 0 else len(data) - end - 1
            if length > self._most:
                raise BackendRejected(f"the service sent a line of more than {self._most >> 20} MiB")
            yield data

    async def aclose(self) -> None:
        await self._stream.aclose()
