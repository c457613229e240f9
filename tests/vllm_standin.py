"""A server that speaks vLLM's wire format without a model: for many streams, replicas, and what goes wrong.

    python tests/vllm_standin.py PORT [hold]

The real one is tested in tests/engines; what is replayed here was recorded from it (vLLM 0.32).
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[1]))

from tessy.remote.files import raise_file_limit
from tessy.testing.simulated import wire
from tessy.tokens.files import load_model_files

__all__ = ["MODEL", "VllmStandIn"]

MODEL = Path(__file__).parents[1] / "examples" / "miniature" / "models" / "student"
CODEC = load_model_files(str(MODEL)).codec
TRACE = "Okay, let me see. c12 c13 c14. Hmm, wait. c15 c16 c17. So that is it.\n</think>"
ANSWER = "The answer is 42.<|im_end|>"


class VllmStandIn:
    """One server.

    Args:
        delay: seconds a token takes.
        first: seconds until the first one.
        hold: no stream gets its first token before somebody has said ``POST /go``.
    """

    def __init__(self, *, delay: float = 0.0, first: float = 0.0, hold: bool = False) -> None:
        self.delay = delay
        self.first = first
        self._go = asyncio.Event()
        if not hold:
            self._go.set()
        self.running = 0
        self.most = 0
        self.streams = 0
        self.cut_off = 0
        self.breaks = 0
        """Streams to break off in their middle."""
        self.vocabulary_shift = 0
        self.ids = True
        self.refuses = False
        """Whether every prompt is said to be too long."""
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> str:
        """Serve; the URL."""
        app = web.Application(client_max_size=1 << 28)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/tokenize", self._tokenize)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_post("/go", self._let_go)
        self._runner, self.url = await wire.serve(app, port)
        return self.url

    async def stop(self) -> None:
        """End at once."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _models(self, request: web.Request) -> web.Response:
        entry = {"id": "student", "owned_by": "vllm", "root": str(MODEL), "max_model_len": 2048}
        return web.json_response({"object": "list", "data": [entry]})

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = await request.json()
        if "prompt" not in body:
            return web.json_response({}, status=404)
        ids = [i + self.vocabulary_shift for i in CODEC.encode(body["prompt"])]
        return web.json_response({"tokens": ids})

    async def _metrics(self, request: web.Request) -> web.Response:
        text = (
            f'vllm:num_requests_running{{engine="0"}} {float(self.running)}\nvllm:num_requests_waiting 0.0\n'
        )
        return web.Response(text=text)

    async def _let_go(self, request: web.Request) -> web.Response:
        self._go.set()
        return web.Response()

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        body: dict[str, Any] = orjson.loads(await request.read())
        if self.refuses:
            return web.json_response({"error": {"message": "the context is 2048 tokens"}}, status=400)
        self.streams += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            response = await wire.open_stream(request)
            await asyncio.sleep(self.first)
            await self._go.wait()
            breaks = self.breaks > 0
            self.breaks -= breaks
            await self._write(request, response, body, breaks)
            return response
        except (ConnectionError, asyncio.CancelledError):
            self.cut_off += 1
            raise
        finally:
            self.running -= 1

    async def _write(
        self, request: web.Request, response: web.StreamResponse, body: dict[str, Any], breaks: bool
    ) -> None:
        tokens = self._tokens(body)[: body["max_tokens"]]
        for n, token in enumerate(tokens):
            if self.delay:
                await asyncio.sleep(self.delay)
            if breaks and n == 5 and request.transport is not None:
                request.transport.abort()
                return
            finish = None
            if n + 1 == len(tokens):
                finish = "stop" if token in body["stop_token_ids"] else "length"
            choice = wire.completion("x", [token] if self.ids else None, finish=finish)
            await response.write(wire.event({"choices": [choice]}))
        usage = wire.usage(len(body["prompt"]), len(tokens), 0)
        await response.write(wire.event({"choices": [], "usage": usage}) + wire.DONE)

    def _tokens(self, body: dict[str, Any]) -> list[int]:
        """The trace from where the prompt has it: after as many tokens as it has after the opening mark."""
        (opened,), (closed,) = CODEC.encode_control("<think>"), CODEC.encode_control("</think>")
        prompt = body["prompt"]
        if closed in prompt:
            return CODEC.encode_control(ANSWER)
        trace = CODEC.encode_control(TRACE)
        done = len(prompt) - 2 - prompt.index(opened)
        return trace[done:] if done < len(trace) - 1 else trace[-2:]


async def _serve(port: int, hold: bool) -> None:
    raise_file_limit(16384)
    server = VllmStandIn(hold=hold)
    await server.start(port)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), "hold" in sys.argv[2:]))
