"""One HTTP client for all streams to one model's servers, and their answers as our errors."""

from __future__ import annotations

from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy
import orjson

from tessy.errors import BackendRejected, BackendTimeout, BackendUnavailable, ConfigError
from tessy.remote.files import raise_file_limit
from tessy.remote.keys import key_trouble, read_key, warn_if_in_the_clear
from tessy.remote.sizes import LONGEST_PAGE
from tessy.remote.sse import EventBuffer
from tessy.remote.status import error_for_status
from tessy_vllm.options import VllmOptions

__all__ = ["Http"]

_ERROR_PAGE = 1 << 16
"""Bytes that are read of one."""
_JSON = {"Content-Type": "application/json"}
_SPARE = 256
"""Files that the rest of the process may need."""


class Http:
    """An aiohttp session without limits of its own: how many streams there are is decided above.

    One socket a stream (HTTP/1.1); closing a response closes its socket, which is how a server learns
    that nobody reads any more.
    """

    def __init__(self, options: VllmOptions, *, what: str, streams: int, urls: Sequence[str] = ()) -> None:
        self._what = what
        key = read_key(options, what=what)
        warn_if_in_the_clear(key, urls, what=what)
        self._key = key
        self._trouble = key_trouble(options, given=key is not None)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._connect = options.connect_timeout
        files = raise_file_limit(streams + _SPARE)
        if files < streams + _SPARE:
            raise ConfigError(
                f"{what}: {streams:,} streams at once need as many open files, this process may have "
                f"{files:,}; lower max_concurrency= to {max(1, files - _SPARE):,} or raise that limit "
                "(ulimit -n)"
            )
        self._client: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the client; needs a running loop."""
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=0, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect, sock_read=None),
            headers=self._headers,
            # Long traces come in large pieces; small buffers would throttle the server.
            read_bufsize=1 << 20,
        )

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def get(self, url: str) -> str:
        """A page, at most ``connect_timeout`` seconds."""
        async with self._request("GET", url, seconds=self._connect) as response:
            return await self._text(url, response)

    async def get_json(self, url: str) -> Any:
        """A page that must be JSON.

        Raises:
            BackendRejected: it is not: something else answers there.
        """
        text = await self.get(url)
        try:
            return orjson.loads(text)
        except ValueError:
            raise BackendRejected(
                f"{self._what}: {url} does not speak vLLM's API: it answers {self._clean(text[:80])!r}"
            ) from None

    async def post(self, url: str, body: Mapping[str, Any], *, seconds: float | None = None) -> Any:
        """One question, one answer.

        Raises:
            BackendUnavailable: the answer is none.
        """
        async with self._request("POST", url, body=body, seconds=seconds) as response:
            text = await self._text(url, response)
        try:
            return orjson.loads(text)
        except ValueError:
            # What stands in front of a server says so while the server is away; it is back later.
            raise BackendUnavailable(
                f"{self._what}: {url} answers with what is no JSON: {self._clean(text[:80])!r}"
            ) from None

    async def events(self, url: str, body: Mapping[str, Any]) -> AsyncGenerator[list[Any], None]:
        """The events of a stream, as many at a time as have arrived. Closing it closes the connection.

        Raises:
            BackendUnavailable: the stream broke off, or the answer is none.
        """
        async with self._request("POST", url, body=body) as response:
            kind = response.content_type
            if kind != "text/event-stream":
                start = (await response.content.read(200)).decode("utf-8", "replace")
                # What stands in front of a server says so while the server is away; it is back later.
                raise BackendUnavailable(
                    f"{self._what}: {url} answers with {kind}, not a stream: {self._clean(start)!r}"
                )
            buffer, read = EventBuffer(), response.content.readany
            while data := await read():
                events = buffer.feed(data)
                if events:
                    yield events
                if (error := buffer.error) is not None:
                    raise BackendUnavailable(f"{self._what}: {url} sent what is not JSON: {error}") from error
                if buffer.done:
                    return

    @asynccontextmanager
    async def _request(
        self, method: str, url: str, *, body: Any = None, seconds: float | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._client is None:
            raise BackendUnavailable(f"{self._what}: is closed")
        # Bytes, not text: a long trace's ids would be copied once more on their way.
        options: dict[str, Any] = {} if body is None else {"data": _json(body), "headers": _JSON}
        if seconds is not None:
            options["timeout"] = aiohttp.ClientTimeout(total=seconds)
        response: aiohttp.ClientResponse | None = None
        try:
            # Followed, a redirect could take prompts to a server that nobody chose.
            response = await self._client.request(method, url, allow_redirects=False, **options)
            if response.status != 200:
                text = (await response.content.read(_ERROR_PAGE)).decode("utf-8", "replace")
                raise error_for_status(
                    response.status,
                    self._clean(_message(text)),
                    response.headers,
                    what=f"{self._what} at {url}",
                    key=self._trouble,
                )
            yield response
        except TimeoutError as error:
            raise BackendTimeout(f"{self._what}: no answer from {url} in time") from error
        except aiohttp.InvalidURL as error:
            raise ConfigError(f"{self._what}: {url!r} is not a URL") from error
        except aiohttp.ClientConnectorError as error:
            why = error.os_error.strerror or error.os_error
            raise BackendUnavailable(f"{self._what}: {url} cannot be reached ({why})") from error
        except (aiohttp.ClientError, OSError) as error:
            raise BackendUnavailable(f"{self._what}: {url}: {str(error) or type(error).__name__}") from error
        finally:
            if response is not None:
                response.close()

    async def _text(self, url: str, response: aiohttp.ClientResponse) -> str:
        """All of a page, if it ends.

        Raises:
            BackendRejected: it is too long.
        """
        page = bytearray()
        async for data in response.content.iter_any():
            page += data
            if len(page) > LONGEST_PAGE:
                raise BackendRejected(f"{self._what}: {url} sent more than {LONGEST_PAGE >> 20} MiB")
        return page.decode("utf-8", "replace")

    def _clean(self, text: str) -> str:
        """A message without the key: servers quote it."""
        return text.replace(self._key, "***") if self._key else text


def _message(text: str) -> str:
    """What an error page says, however it is wrapped."""
    try:
        data = orjson.loads(text)
    except ValueError:
        return " ".join(text.split())[:300]
    for key in ("error", "message", "detail"):
        if isinstance(data, dict) and key in data:
            data = data[key]
    return " ".join(str(data).split())[:300]


def _json(body: Any) -> bytes:
    return orjson.dumps(body, default=_ids, option=orjson.OPT_SERIALIZE_NUMPY)


def _ids(value: Any) -> Any:
    """Token ids, from the array that they stand in: a long trace's are not made into objects first."""
    if isinstance(value, array):
        return numpy.frombuffer(value, numpy.uintc)
    raise TypeError(f"{type(value).__name__} is no JSON")
