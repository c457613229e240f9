"""The official SDK, one client a URL, and its many exceptions as our few."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx2
import openai
import orjson
from openai import AsyncOpenAI, DefaultAioHttpClient

from tessy.errors import BackendError, BackendRejected, BackendTimeout, BackendUnavailable, ConfigError
from tessy.remote.files import raise_file_limit
from tessy.remote.keys import key_trouble, read_key, warn_if_in_the_clear
from tessy.remote.sse import EventBuffer
from tessy.remote.status import error_for_status
from tessy_openai.bounded import bound
from tessy_openai.options import OpenAIOptions
from tessy_openai.refusal import has_no_credit, said, status_in

__all__ = ["Clients"]

_SPARE = 256
_LIMITS = "x-ratelimit-"
_NO_LIST = (404, 405, 501)
"""What services without ``/models`` answer there."""


class Clients:
    """The SDK's clients for one service's URLs.

    It never retries by itself and never gives up by the clock: both are the pool's business.
    """

    def __init__(
        self, urls: Sequence[str], options: OpenAIOptions, key_env: str | None, *, what: str
    ) -> None:
        self._what = what
        self._options = options
        self._key = read_key(options, what=what, usual=key_env)
        self._trouble = key_trouble(options, given=self._key is not None, usual=key_env)
        warn_if_in_the_clear(self._key, urls, what=what)
        self._clients: dict[str, AsyncOpenAI] = {}
        self._urls = urls
        self.rate_limits: dict[str, str] = {}

    def open(self) -> None:
        """Make the clients; needs a running loop."""
        streams = self._options.max_concurrency * len(self._urls)
        files = raise_file_limit(streams + _SPARE)
        if files < streams + _SPARE:
            raise ConfigError(
                f"{self._what}: {streams:,} streams at once need as many open files, this process may have "
                f"{files:,}; lower max_concurrency= to {max(1, files - _SPARE):,} or raise that limit "
                "(ulimit -n)"
            )
        for url in self._urls:
            self._clients[url] = AsyncOpenAI(
                # The SDK insists on a key, also where a server of one's own wants none.
                api_key=self._key or "none",
                base_url=url,
                max_retries=0,
                timeout=httpx2.Timeout(None, connect=self._options.connect_timeout),
                http_client=DefaultAioHttpClient(
                    # Followed, a redirect could take prompts to a server that nobody chose.
                    follow_redirects=False,
                    event_hooks={"response": [bound]},
                    # No limit would mean aiohttp's own of 100.
                    limits=httpx2.Limits(max_connections=1 << 20, max_keepalive_connections=1 << 10),
                    timeout=httpx2.Timeout(None, connect=self._options.connect_timeout),
                ),
            )

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()

    async def models(self, url: str) -> list[Mapping[str, Any]] | None:
        """What the service lists; ``None``: it has no list.

        Raises:
            BackendRejected: it speaks something else.
        """
        with self._errors(url):
            client = self._client(url).with_options(timeout=self._options.connect_timeout)
            try:
                answer = await client.models.with_raw_response.list()
            except openai.APIStatusError as error:
                if error.status_code in _NO_LIST:
                    return None
                raise
            text = answer.http_response.text
        try:
            listed = orjson.loads(text)
            # Together's list stands bare, without the object that OpenAI puts around it.
            data = listed if isinstance(listed, list) else listed["data"]
            return [entry for entry in data if isinstance(entry, dict)]
        except (ValueError, KeyError, TypeError):
            raise BackendRejected(
                f"{self._what}: {url} does not speak the OpenAI API: "
                f"/models answers {self._clean(text[:80])!r}"
            ) from None

    async def stream(
        self, url: str, path: str, body: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The events of a streamed request as they come, as plain objects.

        ``path`` is ``/completions`` or ``/chat/completions``. Closing the generator closes the connection.

        Raises:
            BackendUnavailable: the stream broke off, or the answer is none.
        """
        came = False
        with self._errors(url):
            response = await self._client(url).post(
                path,
                body={**body, "stream": True},
                cast_to=object,
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
        try:
            self._note_limits(response.response.headers)
            kind = response.response.headers.get("content-type", "")
            if "text/event-stream" not in kind:
                with self._errors(url):
                    start = (await response.response.aread())[:200].decode("utf-8", "replace")
                # What stands in front of a service says so while the service is away; it is back later.
                raise BackendUnavailable(
                    f"{self._what}: {url} answers with {kind or 'no type'}, "
                    f"not a stream: {self._clean(start)!r}"
                )
            # The SDK would read each event by itself, and check a model of it; there is one a token.
            arriving, buffer, door = response.response.aiter_bytes(), EventBuffer(), self._errors(url)
            ended = False
            while not ended:
                with door:
                    try:
                        events = buffer.feed(await anext(arriving))
                    except StopAsyncIteration:
                        events, ended = buffer.end(), True
                for event in events:
                    if isinstance(event, dict):
                        self._check(event, url)
                        came = True
                        yield event
                if buffer.error is not None:
                    with door:
                        raise buffer.error
                if buffer.done:
                    with door:
                        async for _ in arriving:
                            pass  # read to its end, the connection can be used again
                    break
            if not came:
                raise BackendUnavailable(f"{self._what}: {url} answers with an empty stream")
        finally:
            await response.close()

    async def get_text(self, url: str) -> str:
        """A page beside the API (``/metrics``)."""
        with self._errors(url):
            client = next(iter(self._clients.values())).with_options(timeout=self._options.connect_timeout)
            response = await client.get(url, cast_to=httpx2.Response)
            return response.text

    def _client(self, url: str) -> AsyncOpenAI:
        try:
            return self._clients[url]
        except KeyError:
            raise BackendError(f"{self._what}: is not started") from None

    def _check(self, event: Mapping[str, Any], url: str) -> None:
        error = event.get("error")
        if not error:  # some have the field, empty, in every event
            return
        message = self._clean(said(error))
        status = status_in(event)
        if status is None:
            raise BackendUnavailable(f"{self._what}: the service reports: {message}")
        raise self._for_status(status, message, {}, url, no_credit=has_no_credit(error))

    def _errors(self, url: str) -> _Errors:
        return _Errors(self, url)

    def meant(self, error: BaseException, url: str) -> Exception | None:
        """What an exception of the SDK, or of what is below it, means; ``None`` for any other."""
        at = f"{self._what}: {url}"
        if isinstance(error, openai.APIStatusError):
            self._note_limits(error.response.headers)
            message = self._clean(said(error.message if error.body is None else error.body))
            headers, no_credit = error.response.headers, has_no_credit(error.body)
            return self._for_status(error.status_code, message, headers, url, no_credit=no_credit)
        if isinstance(error, openai.APIConnectionError):
            cause = _cause(error)
            if isinstance(cause, BackendError):
                return BackendRejected(f"{at}: {cause}")
            if isinstance(cause, aiohttp.ClientConnectorError):
                why = cause.os_error.strerror or cause.os_error
                return BackendUnavailable(f"{self._what}: {url} cannot be reached ({why})")
            # The transport also calls a lost connection a time-out.
            if isinstance(error, openai.APITimeoutError) and isinstance(
                cause, (TimeoutError, httpx2.HTTPError)
            ):
                return BackendTimeout(f"{self._what}: no answer from {url} in time")
            return BackendUnavailable(f"{at}: {self._clean(str(cause)) or type(cause).__name__}")
        if isinstance(error, openai.OpenAIError):
            return BackendUnavailable(f"{at}: {self._clean(str(error))}")
        if isinstance(error, (httpx2.InvalidURL, httpx2.UnsupportedProtocol)):
            return ConfigError(f"{self._what}: {url!r} is not a URL: {error}")
        if isinstance(error, (httpx2.HTTPError, OSError)):
            return BackendUnavailable(f"{at}: {self._clean(str(error)) or type(error).__name__}")
        if isinstance(error, ValueError):
            return BackendUnavailable(f"{at} sent what is not JSON: {error}")
        return None

    def _for_status(
        self, status: int, message: str, headers: Mapping[str, str], url: str, *, no_credit: bool
    ) -> BackendError:
        what, path = f"{self._what} at {url}", ""
        if not urlsplit(url).path:
            path = f"the address has no path, services usually answer below /v1: try {self._what}@{url}/v1"
        return error_for_status(
            status, message, headers, what=what, no_credit=no_credit, key=self._trouble, path=path
        )

    def _clean(self, text: str) -> str:
        """A message without the key: services quote it."""
        return text.replace(self._key, "***") if self._key else text

    def _note_limits(self, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            if name.lower().startswith(_LIMITS):
                self.rate_limits[name.lower().removeprefix(_LIMITS)] = value


class _Errors:
    """Turns what is raised inside it into ours. A class, not a generator: it stands around every event."""

    __slots__ = ("_clients", "_url")

    def __init__(self, clients: Clients, url: str) -> None:
        self._clients = clients
        self._url = url

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and (meant := self._clients.meant(error, self._url)) is not None:
            raise meant from None


def _cause(error: BaseException) -> BaseException:
    """What really happened, below the layers that renamed it."""
    while isinstance(error, (openai.OpenAIError, httpx2.HTTPError)) and error.__cause__ is not None:
        error = error.__cause__
    return error
