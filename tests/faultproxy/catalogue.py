"""The faults, each with what a client must make of it.

Four kinds: those that it waits out (nothing had come: it asks again by itself), those that break a turn off
(a typed error; the turn is asked for again from what is committed), those after the last token (the turn is
whole), and those that are no more than an unusual way to write.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Literal

from aiohttp import web

from faultproxy.exchange import Exchange, finish_of
from tessy.errors import BackendError, BackendTimeout, BackendUnavailable

__all__ = ["BREAKS", "FAULTS", "FINISHED", "HARMLESS", "WAITS", "Fault"]

Strike = Callable[[Exchange], Awaitable[web.StreamResponse]]
Kind = Literal["waits", "breaks", "finished", "harmless"]


@dataclass(frozen=True)
class Fault:
    """One way to go wrong.

    Attributes:
        name: for tests and figures.
        kind: what the client must do.
        strike: does it.
        error: what a fault that breaks a turn off is to the client.
        says: what its message must say.
    """

    name: str
    kind: Kind
    strike: Strike
    error: type[BackendError] = BackendUnavailable
    says: str = ""


# --- before anything has come ---------------------------------------------------------------------


def _status(code: int, wait: Callable[[], str] | None = None, page: str = "") -> Strike:
    async def strike(exchange: Exchange) -> web.StreamResponse:
        exchange.struck()
        headers = {"Retry-After": wait()} if wait else {}
        text = page or json.dumps({"error": {"message": f"no luck ({code})", "code": code}})
        kind = "text/html" if page else "application/json"
        return web.Response(status=code, text=text, content_type=kind, headers=headers)

    return strike


def _instead(kind: str, *parts: bytes) -> Strike:
    """A success that is none."""

    async def strike(exchange: Exchange) -> web.StreamResponse:
        exchange.struck()
        response = await exchange.open(kind)
        for part in parts:
            await response.write(part)
        return response

    return strike


async def _reset_before(exchange: Exchange) -> web.StreamResponse:
    exchange.reset()
    return web.Response()


async def _reset_after_head(exchange: Exchange) -> web.StreamResponse:
    response = await exchange.open()
    await asyncio.sleep(0.02)  # the head must have arrived, or the reset takes it along
    exchange.reset()
    return response


async def _stall_before(exchange: Exchange) -> web.StreamResponse:
    await exchange.hang()
    return web.Response()


async def _stall_after_head(exchange: Exchange) -> web.StreamResponse:
    response = await exchange.open()
    await response.write(b": keep-alive\n\n")
    await exchange.hang()
    return response


def _date() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)


# --- in mid-stream --------------------------------------------------------------------------------


async def _reset_in_stream(exchange: Exchange) -> web.StreamResponse:
    response = await exchange.until()
    exchange.reset()
    return response


async def _stall_in_stream(exchange: Exchange) -> web.StreamResponse:
    response = await exchange.until()
    await exchange.hang()
    return response


async def _stall_with_comments(exchange: Exchange) -> web.StreamResponse:
    """Signs of life without a token: the connection lives, the engine does not."""
    response = await exchange.until()
    exchange.struck()
    while True:
        await response.write(b": keep-alive\n\n")
        await asyncio.sleep(0.1)  # the pace of such signs of life


def _then(*parts: bytes) -> Strike:
    """The stream's beginning, then this, then an orderly end."""

    async def strike(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.until()
        exchange.struck()
        for part in parts:
            await response.write(part)
        return response

    return strike


async def _unknown_finish(exchange: Exchange) -> web.StreamResponse:
    response = await exchange.open()
    left = exchange.chance.randint(2, 6)
    async with aclosing(exchange.events()) as events:
        async for event in events:
            left -= 1
            if left == 0 or finish_of(event) is not None:
                data = json.loads(event.strip().removeprefix(b"data:"))
                data["choices"][0]["finish_reason"] = "cosmic_ray"
                # What came before is read by itself: else, to the client, nothing had come.
                await asyncio.sleep(0.02)
                await response.write(b"data: " + json.dumps(data).encode() + b"\n\n")
                break
            await response.write(event)
    exchange.struck()
    await response.write(b"data: [DONE]\n\n")
    return response


# --- after the last token -------------------------------------------------------------------------


async def _reset_after_last(exchange: Exchange) -> web.StreamResponse:
    response = await exchange.until(last=True)
    exchange.reset()
    return response


async def _stall_after_last(exchange: Exchange) -> web.StreamResponse:
    response = await exchange.until(last=True)
    await exchange.hang()
    return response


async def _no_done(exchange: Exchange) -> web.StreamResponse:
    response = await exchange.until(last=True)
    exchange.struck()
    return response


# --- unusual ways to write ------------------------------------------------------------------------


def _written(rewrite: Callable[[bytes], list[bytes]], *, pause: bool = False) -> Strike:
    """The whole stream, each event in other pieces."""

    async def strike(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        exchange.struck()
        async with aclosing(exchange.events()) as events:
            async for event in events:
                for part in rewrite(event):
                    await response.write(part)
                    if pause:
                        await asyncio.sleep(0)  # so that the parts are sent one by one
        return response

    return strike


def _torn(event: bytes) -> list[bytes]:
    """Cut wherever it hurts: within every character of several bytes, and in the middle."""
    # Escaped, a text has no such characters; written out it has.
    if event.startswith(b"data: {"):
        text = json.dumps(json.loads(event[6:]), ensure_ascii=False).encode()
        event = b"data: " + text + b"\n\n"
    cuts = [i for i in range(1, len(event)) if event[i] & 0xC0 == 0x80] or [len(event) // 2]
    return [event[a:b] for a, b in zip([0, *cuts], [*cuts, len(event)], strict=True)]


FAULTS = (
    Fault("reset before", "waits", _reset_before),
    Fault("reset after the head", "waits", _reset_after_head),
    Fault("stall before", "waits", _stall_before),
    Fault("stall after the head", "waits", _stall_after_head),
    Fault("429", "waits", _status(429)),
    Fault("429, seconds", "waits", _status(429, lambda: "1")),
    Fault("429, a date", "waits", _status(429, _date)),
    Fault("500", "waits", _status(500)),
    Fault("502", "waits", _status(502, page="<html>Bad Gateway</html>")),
    Fault("503", "waits", _status(503)),
    Fault("503, seconds", "waits", _status(503, lambda: "1")),
    Fault("529", "waits", _status(529)),
    Fault("HTML with 200", "waits", _instead("text/html", b"<html>Please log in</html>")),
    Fault("JSON for a stream", "waits", _instead("application/json", b'{"detail": "try later"}')),
    Fault("no events at all", "waits", _instead("text/event-stream")),
    Fault("nothing but [DONE]", "waits", _instead("text/event-stream", b"data: [DONE]\n\n")),
    Fault("reset in mid-stream", "breaks", _reset_in_stream),
    Fault("stall in mid-stream", "breaks", _stall_in_stream, BackendTimeout, "token_timeout"),
    Fault("comments only", "breaks", _stall_with_comments, BackendTimeout, "token_timeout"),
    Fault("truncated", "breaks", _then(), says="broke off"),
    Fault("truncated in an event", "breaks", _then(b'data: {"choices": [{"te'), says="broke off"),
    Fault("[DONE] too early", "breaks", _then(b"data: [DONE]\n\n"), says="broke off"),
    Fault("malformed event", "breaks", _then(b"data: {not json}\n\n"), says="JSON"),
    Fault("an event of another kind", "breaks", _then(b"data: [1, 2]\n\ndata: 7\n\n")),
    Fault("choices of another kind", "breaks", _then(b'data: {"choices": ["x"]}\n\n')),
    Fault("an error in the stream", "breaks", _then(b'data: {"error": "CUDA"}\n\n'), says="CUDA"),
    Fault("unknown finish reason", "breaks", _unknown_finish, says="cosmic_ray"),
    Fault("reset after the last token", "finished", _reset_after_last),
    Fault("stall after the last token", "finished", _stall_after_last),
    Fault("no [DONE]", "finished", _no_done),
    Fault("split UTF-8", "harmless", _written(_torn, pause=True)),
    Fault("[DONE] twice", "harmless", _written(lambda e: [e, e] if b"[DONE]" in e else [e])),
    Fault("comments", "harmless", _written(lambda e: [b": OK\n\n", b":\n\n", e])),
    Fault("empty choices", "harmless", _written(lambda e: [b'data: {"choices": []}\n\n', e])),
    Fault("other line ends", "harmless", _written(lambda e: [e.replace(b"\n", b"\r\n")])),
    Fault("other fields", "harmless", _written(lambda e: [b"event: message\nid: 7\nretry: 9\n", e])),
)
WAITS, BREAKS, FINISHED, HARMLESS = (
    [fault for fault in FAULTS if fault.kind == kind] for kind in ("waits", "breaks", "finished", "harmless")
)
