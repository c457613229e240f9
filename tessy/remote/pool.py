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
from dataclasses import dataclass
from typing import TypeVar

from tessy.errors import (
    BackendDown,
    BackendError,
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    ConfigError,
)
from tessy.remote.asked import Asked
from tessy.remote.endpoint import Endpoint, EndpointStats
from tessy.remote.options import RemoteOptions
from tessy.remote.outage import Outage
from tessy.remote.rate import Rate
from tessy.stall import Late, Stall

__all__ = ["Pool"]

T = TypeVar("T")

_BASE, _CAP = 0.5, 60.0
"""Seconds: the first pause may be as long as the one, no pause is longer than the other."""
_TIMEOUTS = 3
"""First answers that may be missed by one call while the pool otherwise works."""
_LOOK = 0.01
"""Seconds, at least, until the next look for an endpoint."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A request that may go out.

    Attributes:
        endpoint: where to.
        probe: the breaker's ticket, if it is a probe.
        full: the endpoint has as many requests now as it may have.
        since: the time.
    """

    endpoint: Endpoint
    probe: int | None
    full: bool
    since: float


class Pool:
    """Requests to one or several URLs, within their limits.

    Args:
        urls: the endpoints; each serves the same model.
        options: limits and time-outs.
        name: of the backend, for messages.
        random: for jitter; seeded in tests.

    Raises:
        ConfigError: there is no URL.
    """

    def __init__(
        self,
        urls: Sequence[str],
        options: RemoteOptions,
        *,
        name: str,
        random: randoms.Random | None = None,
    ) -> None:
        if not urls:
            raise ConfigError(f"{name}: no URL")
        self._options = options
        self._name = name
        self._random = random or randoms.Random()
        self._endpoints = [
            Endpoint(url, options.max_concurrency, self._random) for url in dict.fromkeys(urls)
        ]
        self._homes: dict[str, Endpoint] = {}
        self._requests = Rate(options.rpm)
        self._tokens = Rate(options.tpm)
        self._outage = Outage(name, [one.url for one in self._endpoints], options.patience)
        self._news = asyncio.Event()
        """Set, and replaced, whenever an endpoint may have changed its state."""

    async def stream(
        self,
        key: str,
        open: Callable[[str], AsyncGenerator[T, None]],
        *,
        tokens: int = 0,
        asked: Asked | None = None,
    ) -> AsyncGenerator[T, None]:
        """The items of ``open(url)``, from the endpoint that serves ``key``.

        Until the first item comes, failures are retried, at another endpoint if need be. Closing the
        generator, or cancelling its reader at any point, closes the inner one and gives the place back.

        Args:
            key: the trajectory.
            open: begins the request at a URL; raises tessy's errors.
            tokens: that the request will cost at least, for ``tpm``; who waits and has most goes first.
            asked: told when it goes out, and when that has failed before the first item.

        Raises:
            BackendRejected: asking again is useless.
            BackendTimeout: no item came in time, though others get theirs, or have got theirs and nobody else
                asks now.
            BackendUnavailable: it broke off after the first item.
            BackendDown: no endpoint has worked for ``patience`` seconds, or the key is refused.
        """
        self._outage.entered(self._now())
        asked = asked or Asked()
        clock, works = asyncio.get_running_loop().time, self._outage.works
        try:
            attempt = timeouts = 0
            began: float | None = None
            while True:
                place = await self._place(key, tokens)
                began = place.since if began is None else began
                told, seconds = False, self._options.first_token_timeout
                stall = Stall()
                asked(True)
                try:
                    async with aclosing(open(place.endpoint.url)) as items:
                        while True:
                            try:
                                item = await stall.next(items, seconds)
                            except StopAsyncIteration:
                                break
                            except Late:
                                raise self._late(told) from None
                            if not told:
                                told, seconds = True, self._options.token_timeout
                                self._answered(place)
                            works(clock())
                            yield item
                    self._succeeded(place)
                    return
                except BackendDown:
                    raise
                except (BackendUnavailable, BackendTimeout) as error:
                    self._failed(place, key, error)
                    timeouts += isinstance(error, BackendTimeout)
                    # Where nothing works at all it is not this request: patience decides.
                    if told:
                        raise
                    asked(False)
                    if timeouts > _TIMEOUTS and self._outage.worked_since(began):
                        raise BackendTimeout(str(error), again=False) from None
                    problem = error
                except BackendError as error:
                    if isinstance(error, BackendRejected) and error.key:
                        raise BackendDown(str(error)) from None  # revoked: no row is at fault
                    # It answers; what it says is not the endpoint's fault.
                    self._succeeded(place)
                    raise
                finally:
                    stall.close()
                    self._leave(place)
                attempt += 1
                place.endpoint.retries += 1
                await self._pause(key, place.endpoint, attempt, problem)
        finally:
            self._outage.left(self._now())

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

    async def _place(self, key: str, tokens: int) -> _Place:
        """Wait until an endpoint may be asked."""
        paid = False
        while True:
            endpoint = self._home(key)
            if endpoint is None:
                await self._no_endpoint()
                continue
            probe = endpoint.breaker.begin()
            try:
                full = await endpoint.window.acquire(tokens)
            except BaseException:
                self._abandon(endpoint, probe)
                raise
            if full is None:
                self._abandon(endpoint, probe)
                continue
            place = _Place(endpoint, probe, full, self._now())
            try:
                # Last of all: who paid first and queued then would go out in one burst with all the others.
                waited = not paid and await self._pay(tokens)
            except BaseException:
                self._leave(place)
                raise
            paid = True
            if probe is None and not endpoint.breaker.healthy:
                self._leave(place)  # it went out of order meanwhile
                continue
            endpoint.requests += 1
            # Places held by those who wait for the rate are no load.
            return _Place(endpoint, probe, full and not waited, self._now())

    async def _pay(self, tokens: int) -> bool:
        """Wait until the rates allow one more; whether there was a wait."""
        requests = await self._requests.take(1)
        return await self._tokens.take(tokens) or requests

    def _leave(self, place: _Place) -> None:
        """The request is over, however it ended."""
        place.endpoint.window.release()
        self._abandon(place.endpoint, place.probe)

    def _abandon(self, endpoint: Endpoint, probe: int | None) -> None:
        """If the probe has told nothing by now, it never will: somebody else's turn."""
        endpoint.breaker.abandoned(self._now(), probe)
        self._tell()

    def _tell(self) -> None:
        """Wake those who wait for an endpoint."""
        self._news.set()
        self._news = asyncio.Event()

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
        """Wait until one may be probed, or a probe has ended, or patience has."""
        self._outage.check(self._now())
        now = self._now()
        times = [one.breaker.retry_at for one in self._endpoints if one.breaker.state == "open"]
        if self._outage.until is not None:
            times.append(self._outage.until)
        try:
            async with asyncio.timeout(max(_LOOK, min(times) - now) if times else None):
                await self._news.wait()
        except TimeoutError:
            return

    # --- failures ---------------------------------------------------------------------------------

    def _answered(self, place: _Place) -> None:
        """The first item has come. It counts as success: most streams are cut before their end."""
        place.endpoint.breaker.succeeded()
        place.endpoint.window.succeeded(place.full)
        self._tell()

    def _succeeded(self, place: _Place) -> None:
        place.endpoint.breaker.succeeded()
        self._outage.works(self._now())

    def _failed(self, place: _Place, key: str, error: BackendError) -> None:
        endpoint, now = place.endpoint, self._now()
        endpoint.failures += 1
        self._outage.failed(now, error)
        if isinstance(error, BackendUnavailable) and error.busy:
            endpoint.window.complained(place.since, now)
            endpoint.breaker.succeeded()
            return
        if endpoint.breaker.failed(now, place.probe):
            endpoint.window.dismiss()
        others = [one for one in self._endpoints if one is not endpoint and one.breaker.healthy]
        if others and self._homes.get(key) is endpoint:
            self._settle(key, min(others, key=lambda one: one.load))

    async def _pause(self, key: str, endpoint: Endpoint, attempt: int, error: BackendError) -> None:
        self._outage.check(self._now())
        wanted = getattr(error, "retry_after", None)
        moved = self._homes.get(key) is not endpoint
        # At once, but once to each: a request that fails everywhere must not go round without a pause.
        if moved and wanted is None and attempt < len(self._endpoints):
            return
        pause = self._random.uniform(0, min(_CAP, _BASE * 2 ** min(attempt - 1, 10)))
        if wanted is not None:
            pause = max(pause, min(wanted, self._options.patience))
        until = self._outage.until
        await asyncio.sleep(pause if until is None else min(pause, until - self._now()))
        self._outage.check(self._now())

    def _late(self, told: bool) -> BackendTimeout:
        options = self._options
        limit, what, option = options.first_token_timeout, "no first answer", "first_token_timeout"
        if told:
            limit, what, option = options.token_timeout, "nothing more came", "token_timeout"
        return BackendTimeout(
            f"{self._name}: {what} within {limit:g} seconds ({option}= sets how long to wait)"
        )

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
