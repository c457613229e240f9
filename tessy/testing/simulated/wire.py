"""How completion servers write: events of a stream, whole answers, errors; as vLLM's OpenAI API has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web

__all__ = ["DONE", "Refused", "chat_delta", "completion", "event", "open_stream", "refusal", "serve", "usage"]

DONE = b"data: [DONE]\n\n"


class Refused(Exception):
    """A request that the server answers with an error; its text is the message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def refusal(status: int, message: str) -> web.Response:
    """An error as OpenAI's API writes it."""
    return web.json_response({"error": {"message": message, "code": status}}, status=status)


async def serve(app: web.Application, port: int = 0, host: str = "127.0.0.1") -> tuple[web.AppRunner, str]:
    """Serve; what to clean up in the end, and the URL.

    A client that goes away ends its handler, which is how these servers learn that nobody reads any more.
    """
    # Not 0: to aiohttp that is no limit at all, and a stop waits for its clients.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=4096).start()
    return runner, f"http://{host}:{runner.addresses[0][1]}"


async def open_stream(request: web.Request, **headers: str) -> web.StreamResponse:
    """The head of a stream of events."""
    kind = {"Content-Type": "text/event-stream; charset=utf-8"}
    response = web.StreamResponse(headers={**kind, **headers})
    await response.prepare(request)
    return response


def event(data: Mapping[str, Any]) -> bytes:
    """One event."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


def completion(
    text: str,
    ids: Sequence[int] | None = None,
    *,
    finish: str | None = None,
    logprobs: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A choice of ``/v1/completions``, whole or a piece."""
    return {"index": 0, "text": text, "token_ids": ids, "logprobs": logprobs, "finish_reason": finish}


def chat_delta(fields: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    """A choice of a streamed ``/v1/chat/completions``."""
    return {"index": 0, "delta": dict(fields), "finish_reason": finish}


def usage(prompt: int, generated: int, cached: int | None = None) -> dict[str, Any]:
    """What a request cost; in mid-stream without what was cached, which vLLM tells at the end only."""
    told = {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
    }
    return told if cached is None else {**told, "prompt_tokens_details": {"cached_tokens": cached}}
