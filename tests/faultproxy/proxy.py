"""The proxy itself: a real socket, in front of a real one."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Self

import aiohttp
from aiohttp import web

from faultproxy.catalogue import FAULTS, Fault
from faultproxy.exchange import Exchange
from tessy.testing.simulated import wire

__all__ = ["FaultProxy"]


class FaultProxy:
    """Passes everything on; completions meet with faults.

    What befalls a request follows from the seed, the request and how often it has been sent, so it is the
    same in every run, whatever the order in which requests come.

    Args:
        upstream: the server's URL.
        rate: share of requests that fail.
        faults: which ones.
        seed: of chance.
    """

    def __init__(
        self, upstream: str, *, rate: float = 0.0, faults: Sequence[Fault] = FAULTS, seed: int = 0
    ) -> None:
        self.url = ""
        self.next: list[Fault] = []
        """Faults of the next requests, one each, before chance is asked."""
        self.others: dict[str, list[Fault]] = {}
        """Faults of the next requests that are no stream, by path; chance leaves those alone."""
        self.asked: Counter[str] = Counter()
        """Such requests, by path."""
        self.requests = 0
        self.drawn: Counter[str] = Counter()
        self.struck: Counter[str] = Counter()
        """Those that came to pass; a stream that its reader closed before did not live to see its own."""
        self._upstream = upstream
        self.rate = rate
        self._faults = faults
        self._seed = seed
        self._sent: Counter[bytes] = Counter()
        self._client: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
        )
        await self.listen()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.refuse()
        assert self._client is not None
        await self._client.close()

    async def listen(self) -> None:
        """Take connections; again at the same port after `refuse`."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        port = int(self.url.rpartition(":")[2] or 0) if self.url else 0
        self._runner, self.url = await wire.serve(app, port)

    async def refuse(self) -> None:
        """As a server that has died: all connections end, new ones are refused. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        assert self._client is not None
        body = await request.read()
        digest = hashlib.sha256(body).digest()
        seed = f"{self._seed}/{digest.hex()}/{self._sent[digest]}"
        exchange = Exchange(request, body, self._upstream, self._client, seed)
        with suppress(ConnectionError):  # the client has gone; nobody reads an answer
            if not (request.path.endswith("/completions") and b'"stream":true' in body.replace(b" ", b"")):
                self.asked[request.path] += 1
                left = self.others.get(request.path)
                return await self._strike(exchange, left.pop(0) if left else None)
            self.requests += 1
            self._sent[digest] += 1
            return await self._strike(exchange, self._fault(exchange.chance))
        return web.Response(status=499)

    async def _strike(self, exchange: Exchange, fault: Fault | None) -> web.StreamResponse:
        if fault is None:
            return await exchange.pass_on()
        self.drawn[fault.name] += 1
        exchange.struck = partial(self.struck.update, [fault.name])
        return await fault.strike(exchange)

    def _fault(self, chance: random.Random) -> Fault | None:
        if self.next:
            return self.next.pop(0)
        return chance.choice(self._faults) if chance.random() < self.rate else None
