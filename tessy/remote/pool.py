"""The endpoints of one backend: which one serves a trajectory, when, and what happens when it fails.

A trajectory stays where it is (its prefix is cached there) as long as that endpoint works, busy or not, and
moves only when it fails. What fails before its first answer is tried again here, with growing pauses, for
minutes; what breaks off later is the caller's to ask for again, from what it has committed.
"""

from __future__ import annotations

import asyncio
import random as randoms
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TypeVar

from tessy.errors import BackendDown, BackendError, BackendTimeout, BackendUnavailable
from tessy.remote.endpoint import Endpoint, EndpointStats
from tessy.remote.options import RemoteOptions
from tessy.remote.rate import Rate

__all__ = ["Pool"]

T = TypeVar("T")

_BASE, _CAP = 0.5, 60.0
"""Seconds: the first pause may be as long as the one, no pause is longer than the other."""
_TIMEOUTS = 3
"""First answers that may be missed by one call while the pool otherwise works."""
_LOOK = 0.25
"""Seconds between two looks for an endpoint while another call probes it."""


class Pool:
    """Requests to one or several URLs, within their limits.

    Args:
        urls: the endpoints; each serves the same model.
        options: limits and time-outs.
        name: of the backend, for messages.
        random: for jitter; seeded in tests.
    """

    def __init__(
        self,
        urls: Sequence[str],
        options: RemoteOptions,
        *,
        name: str,
        random: randoms.Random | None = None,
    ) -> None:
        self._options = options
        self._name = name
        self._random = random or randoms.Random()
        self._endpoints = [Endpoint(url, options.max_concurrency, self._random) for url in urls]
        self._homes: dict[str, Endpoint] = {}
        self._requests = Rate(options.rpm)
        self._tokens = Rate(options.tpm)
        self._outage: float | None = None
        """Since when nothing has worked."""

    async def stream(
        self, key: str, open: Callable[[str], AsyncGenerator[T, None]], *, tokens: int = 0
    ) -> AsyncGenerator[T, None]:
        """The items of ``open(url)``, from the endpoint that serves ``key``.

        Until the first item comes, failures are retried, at another endpoint if need be. Closing the
        generator, or cancelling its reader at any point, closes the inner one and gives the place back.

        Args:
            key: the trajectory.
            open: begins the request at a URL; raises tessy's errors.
            tokens: that the request will cost at least, for ``tpm``.

        Raises:
            BackendRejected: asking again is useless.
            BackendTimeout: no item came in time.
            BackendUnavailable: it broke off after the first item.
            BackendDown: no endpoint has worked for ``patience`` seconds.
        """
        attempt = timeouts = 0
        while True:
            endpoint, full = await self._place(key, tokens)
            started = self._now()
            told = False
            try:
                async with aclosing(open(endpoint.url)) as items:
                    async for item in self._timed(items):
                        if not told:
                            told = True
                            endpoint.breaker.succeeded()
                            endpoint.window.succeeded(full)
                        self._outage = None
                        yield item
                endpoint.breaker.succeeded()
                self._outage = None
                return
            except BackendDown:
                raise
            except (BackendUnavailable, BackendTimeout) as error:
                again = not told
                self._failed(endpoint, key, error, started)
                timeouts += isinstance(error, BackendTimeout)
                if not again or timeouts > _TIMEOUTS:
                    raise
                problem = error
            except BackendError:
                # It answers; what it says is not the endpoint's fault.
                endpoint.breaker.succeeded()
                self._outage = None
                raise
            finally:
                endpoint.breaker.abandoned(self._now())
                endpoint.window.release()
            attempt += 1
            endpoint.retries += 1
            await self._pause(key, endpoint, attempt, problem)

    async def call(self, key: str, request: Callable[[str], Awaitable[T]], *, tokens: int = 0) -> T:
        """One question, one answer, with the same care as `stream`."""

        async def one(url: str) -> AsyncGenerator[T, None]:
            yield await request(url)

        async with aclosing(self.stream(key, one, tokens=tokens)) as answers:
            async for answer in answers:
                return answer
        raise BackendUnavailable(f"{self._name}: no answer")

    def observe(self, url: str, *, running: int, waiting: int) -> None:
        """Requests that the engine at ``url`` works on and has in its queue, by its own count."""
        for endpoint in self._endpoints:
            if endpoint.url == url:
                endpoint.window.observed(running, waiting, self._now())

    def spent(self, tokens: int) -> None:
        """Book tokens that a request has cost beyond those announced."""
        self._tokens.spend(tokens)

    def forget(self, key: str) -> None:
        """The trajectory is over."""
        home = self._homes.pop(key, None)
        if home is not None:
            home.keys -= 1

    @property
    def stats(self) -> Mapping[str, EndpointStats]:
        """The figures of every endpoint, by URL."""
        return {endpoint.url: endpoint.stats for endpoint in self._endpoints}

    # --- a place ----------------------------------------------------------------------------------

    async def _place(self, key: str, tokens: int) -> tuple[Endpoint, bool]:
        """An endpoint that may be asked now; whether all its places are taken."""
        await self._requests.take(1)
        await self._tokens.take(tokens)
        while True:
            endpoint = self._home(key)
            if endpoint is None:
                await self._no_endpoint()
                continue
            full = await endpoint.window.acquire()
            if not endpoint.breaker.allows(self._now()):
                endpoint.window.release()
                continue
            endpoint.breaker.begin()
            endpoint.requests += 1
            return endpoint, full

    def _home(self, key: str) -> Endpoint | None:
        """Where the trajectory stays; another place if that one is out of order, ``None`` if all are."""
        now = self._now()
        home = self._homes.get(key)
        if home is not None and home.breaker.healthy:
            return home
        healthy = [one for one in self._endpoints if one.breaker.healthy]
        usable = healthy or [one for one in self._endpoints if one.breaker.allows(now)]
        if not usable:
            return None
        # A probe for one that was out of order is due: a trajectory that lived there makes it.
        if home is not None and home.breaker.allows(now):
            return home
        chosen = min(usable, key=lambda one: one.load)
        # Newcomers also probe: else an endpoint nobody lives at would never come back.
        if home is None and healthy:
            due = [one for one in self._endpoints if not one.breaker.healthy and one.breaker.allows(now)]
            chosen = due[0] if due else chosen
        self._settle(key, chosen)
        return chosen

    def _settle(self, key: str, endpoint: Endpoint) -> None:
        home = self._homes.get(key)
        if home is endpoint:
            return
        if home is not None:
            home.keys -= 1
            home.moves += 1
        self._homes[key] = endpoint
        endpoint.keys += 1

    async def _no_endpoint(self) -> None:
        self._check_patience(None)
        now = self._now()
        due = min(
            (one.breaker.retry_at for one in self._endpoints if one.breaker.state == "open"), default=now
        )
        await asyncio.sleep(max(_LOOK, due - now))

    # --- failures ---------------------------------------------------------------------------------

    def _failed(self, endpoint: Endpoint, key: str, error: BackendError, started: float) -> None:
        endpoint.failures += 1
        now = self._now()
        if self._outage is None:
            self._outage = now
        if isinstance(error, BackendUnavailable) and error.busy:
            endpoint.window.complained(started, now)
            endpoint.breaker.succeeded()
            return
        endpoint.breaker.failed(now)
        others = [one for one in self._endpoints if one is not endpoint and one.breaker.healthy]
        if others and self._homes.get(key) is endpoint:
            self._settle(key, min(others, key=lambda one: one.load))

    async def _pause(self, key: str, endpoint: Endpoint, attempt: int, error: BackendError) -> None:
        self._check_patience(error)
        wanted = getattr(error, "retry_after", None)
        if self._homes.get(key) is not endpoint and wanted is None:
            return  # it has moved to one that works
        pause = self._random.uniform(0, min(_CAP, _BASE * 2 ** min(attempt, 10)))
        if wanted is not None:
            pause = max(pause, min(wanted, self._options.patience))
        await asyncio.sleep(pause)

    def _check_patience(self, error: BackendError | None) -> None:
        if self._outage is None or self._now() - self._outage < self._options.patience:
            return
        urls = ", ".join(one.url for one in self._endpoints)
        last = f": {error}" if error is not None else ""
        raise BackendDown(
            f"{self._name}: nothing has worked at {urls} for {self._options.patience:g} seconds "
            f"(patience){last}"
        )

    # --- time -------------------------------------------------------------------------------------

    async def _timed(self, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """The same items, each in time."""
        options = self._options
        limit, what, option = options.first_token_timeout, "no first answer", "first_token_timeout"
        while True:
            clock = asyncio.timeout(limit)
            try:
                async with clock:
                    item = await anext(items)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if not clock.expired():
                    raise
                raise BackendTimeout(
                    f"{self._name}: {what} within {limit:g} seconds ({option}= sets how long to wait)"
                ) from None
            yield item
            limit, what, option = options.token_timeout, "nothing more came", "token_timeout"

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
