"""A server of the OpenAI API, as vLLM has it, over a real socket, with a simulated model behind."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from tessy.testing.simulated import wire
from tessy.testing.simulated.asked import Asked
from tessy.testing.simulated.cache import PrefixCache
from tessy.testing.simulated.engine import Clock, Engine
from tessy.testing.simulated.generation import Generator, Piece
from tessy.testing.simulated.linger import Lingering
from tessy.testing.simulated.model import Lengths, Speed
from tessy.testing.simulated.records import Log, Record
from tessy.testing.simulated.traces import Traces
from tessy.testing.simulated.vocabulary import Vocabulary
from tessy.testing.simulated.wire import Refused

__all__ = ["SimulatedServer"]


class SimulatedServer:
    """One model behind one port.

    Args:
        model: its name.
        folder: where its vocabulary is written for clients to read.
        speed: how long things take.
        lengths: how long texts are.
        seed: of texts, lengths and times; servers that write traces together need the same.
        hand: 0 or 1, even or odd: in whose hand it writes.
        clock: the model's time; servers whose records are compared share one. ``None``: one of its own.
        capacity: tokens that its prefix cache has room for; ``None``: no limit.
        context: tokens that a sequence may have.
        log: where records of requests go.
    """

    def __init__(
        self,
        model: str,
        folder: Path,
        *,
        speed: Speed | None = None,
        lengths: Lengths | None = None,
        seed: int = 0,
        hand: int = 0,
        clock: Clock | None = None,
        capacity: int | None = None,
        context: int = 65_536,
        log: Log | None = None,
    ) -> None:
        self.model = model
        self.speed: Speed = speed or Speed()
        self.lengths: Lengths = lengths or Lengths()
        self.log: Log = log or Log()
        self.url: str = ""
        self._folder = folder
        self._seed = seed
        self._hand = hand
        self._clock = clock
        self._capacity = capacity
        self._context = context
        self._answers = 0
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> str:
        """Serve; the server's URL, without ``/v1``."""
        self.vocabulary: Vocabulary = Vocabulary(self._folder)
        self.engine: Engine = Engine(self.speed, PrefixCache(self._capacity), self._clock or Clock())
        self._lingering = Lingering(self.engine.clock, self.speed.linger)
        self._asked = Asked(self.model, self.vocabulary, self._context)
        traces = Traces(self.vocabulary, self.lengths, seed=self._seed, hand=self._hand)
        self._generator = Generator(self.model, self.vocabulary, traces, self.engine, self.log, self._seed)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/completions", self._answering(self._completions))
        app.router.add_post("/v1/chat/completions", self._answering(self._chat))
        app.router.add_post("/tokenize", self._answering(self._tokenize))
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/figures", self._figures)
        app.router.add_get("/log", self._records)
        app.router.add_delete("/log", self._forget)
        self._runner, self.url = await wire.serve(app, port, host)
        return self.url

    async def stop(self) -> None:
        """End at once. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
            await self._lingering.stop()

    def figures(self) -> Mapping[str, Any]:
        """The stated model, what has been done, and what is going on."""
        engine = self.engine
        return {
            "model": self.model,
            "speed": asdict(self.speed),
            "lengths": asdict(self.lengths),
            "now": engine.clock.now(),
            "running": engine.running,
            "waiting": engine.waiting,
            "cache": {
                "capacity": self._capacity,
                "used": engine.cache.used,
                "held": engine.cache.held,
                "evicted": engine.cache.evicted,
            },
            **self.log.figures(),
        }

    # --- pages ----------------------------------------------------------------------------------

    async def _models(self, request: web.Request) -> web.Response:
        entry = {
            "id": self.model,
            "object": "model",
            "owned_by": "vllm",
            "root": str(self._folder),
            "max_model_len": self._context,
        }
        return web.json_response({"object": "list", "data": [entry]})

    async def _metrics(self, request: web.Request) -> web.Response:
        engine = self.engine
        used = engine.cache.used / self._capacity if self._capacity else 0.0
        label = f'{{engine="0",model_name="{self.model}"}}'
        gauges = {
            "num_requests_running": engine.running,
            "num_requests_waiting": engine.waiting,
            "kv_cache_usage_perc": used,
        }
        page = "".join(f"vllm:{k}{label} {float(v)}\n" for k, v in gauges.items())
        if self._capacity:
            block = engine.cache.block
            blocks = self._capacity // block
            page += f'vllm:cache_config_info{{block_size="{block}",num_gpu_blocks="{blocks}"}} 1.0\n'
        return web.Response(text=page)

    async def _figures(self, request: web.Request) -> web.Response:
        return web.json_response(self.figures(), dumps=lambda data: orjson.dumps(data).decode())

    async def _records(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await response.prepare(request)
        for line in list(self.log.lines()):
            await response.write(line)
        return response

    async def _forget(self, request: web.Request) -> web.Response:
        self.log.clear()
        return web.json_response({})

    async def _tokenize(self, request: web.Request, body: Mapping[str, Any]) -> web.Response:
        asked = self._asked
        ids = asked.conversation(body) if "messages" in body else asked.ids(body)
        return web.json_response({"tokens": list(ids), "count": len(ids), "max_model_len": self._context})

    # --- answers --------------------------------------------------------------------------------

    def _answering(
        self, answer: Callable[[web.Request, Mapping[str, Any]], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler that reads the body, and writes what is refused as an error."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await answer(request, self._asked.body(await request.read()))
            except Refused as refused:
                return wire.refusal(refused.status, str(refused))
            except ConnectionError:  # the client has gone; nobody reads an answer
                return web.Response(status=499)

        return handle

    async def _completions(self, request: web.Request, body: Mapping[str, Any]) -> web.StreamResponse:
        ids = self._asked.ids(body)
        wanted = self._asked.wanted(body, ids, body.get("max_tokens", 16))
        top, with_ids = body.get("logprobs") or 0, bool(body.get("return_token_ids"))
        generator, name = self._generator, self._named("cmpl", "text_completion")
        record = generator.record(ids)

        def choice(piece: Piece) -> dict[str, Any]:
            found = generator.logprobs(piece.ids, top) if top else None
            shown = list(piece.ids) if with_ids else None
            return wire.completion("".join(piece.texts), shown, finish=piece.finish, logprobs=found)

        pieces = generator.generate(ids, wanted, record)
        if body.get("stream"):
            return await self._stream(request, body, pieces, record, name, choice)
        answer = choice(await _whole(pieces))
        if body.get("prompt_logprobs") is not None:
            answer["prompt_logprobs"] = generator.prompt_logprobs(ids, int(body["prompt_logprobs"]))
        return web.json_response({**name, "choices": [answer], "usage": _cost(record)})

    async def _chat(self, request: web.Request, body: Mapping[str, Any]) -> web.StreamResponse:
        ids = self._asked.conversation(body)
        most = body.get("max_completion_tokens") or body.get("max_tokens") or self._context
        wanted = self._asked.wanted(body, ids, most)
        record = self._generator.record(ids)
        pieces = self._generator.generate(ids, wanted, record)
        if body.get("stream"):
            name = self._named("chatcmpl", "chat.completion.chunk")

            def choice(piece: Piece) -> dict[str, Any]:
                return wire.chat_delta({"content": "".join(piece.texts)}, piece.finish)

            return await self._stream(request, body, pieces, record, name, choice)
        whole = await _whole(pieces)
        message = {"role": "assistant", "content": "".join(whole.texts)}
        answer = {"index": 0, "message": message, "finish_reason": whole.finish}
        name = self._named("chatcmpl", "chat.completion")
        return web.json_response({**name, "choices": [answer], "usage": _cost(record)})

    async def _stream(
        self,
        request: web.Request,
        body: Mapping[str, Any],
        pieces: AsyncGenerator[Piece, None],
        record: Record,
        name: Mapping[str, Any],
        choice: Callable[[Piece], dict[str, Any]],
    ) -> web.StreamResponse:
        """One event a token; those that are late together in one write."""
        options, written = body.get("stream_options") or {}, 0
        told_always = bool(options.get("include_usage") and options.get("continuous_usage_stats"))
        if self.speed.linger:
            pieces = self._lingering.read(pieces)
        async with aclosing(pieces):
            response = await wire.open_stream(request)
            async for piece in pieces:
                events = []
                for one in _single(piece):
                    written += 1
                    told = {"usage": wire.usage(record.prompt, written)} if told_always else {}
                    events.append(wire.event({**name, "choices": [choice(one)], **told}))
                await response.write(b"".join(events))
        tail = wire.DONE
        if options.get("include_usage"):
            tail = wire.event({**name, "choices": [], "usage": _cost(record)}) + tail
        await response.write(tail)
        return response

    def _named(self, kind: str, what: str) -> dict[str, Any]:
        self._answers += 1
        return {"id": f"{kind}-{self._answers}", "object": what, "created": 0, "model": self.model}


async def _whole(pieces: AsyncGenerator[Piece, None]) -> Piece:
    """All in one piece."""
    tokens: list[int] = []
    texts: list[str] = []
    finish = None
    async with aclosing(pieces):
        async for piece in pieces:
            tokens += piece.ids
            texts += piece.texts
            finish = piece.finish
    return Piece(tokens, texts, finish)


def _cost(record: Record) -> dict[str, Any]:
    return wire.usage(record.prompt, record.tokens, record.cached)


def _single(piece: Piece) -> list[Piece]:
    """The same, token by token."""
    last = len(piece.ids) - 1
    return [
        Piece([token], [text], piece.finish if i == last else None)
        for i, (token, text) in enumerate(zip(piece.ids, piece.texts, strict=True))
    ]
