"""Services over a real socket that answer as each provider documents it, with a scripted model behind.

The model has one trace in mind and goes on from wherever it is in it; from a text that it does not know it
goes on with a few words. What was asked is kept, so a test can see what the service saw.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from tessy.testing.simulated import wire
from tessy.tokens.files import load_model_files
from tessy_openai.trial import _NUMBER as NUMBER

__all__ = ["ANSWER", "KEY", "THINKING", "Service", "serving"]

KEY = "canary-51b2d6e0"
THINKING = "Okay, let me see. c12 c13 c14. Hmm, wait. c15 c16 c17. So that is it."
ANSWER = "The answer is 42."
CODEC = load_model_files(
    str(Path(__file__).parents[1] / "examples" / "miniature" / "models" / "student")
).codec
MISTRAL = frozenset(
    "model messages stream temperature top_p max_tokens stop random_seed metadata response_format tools "
    "tool_choice presence_penalty frequency_penalty n prediction parallel_tool_calls prompt_mode "
    "reasoning_effort guardrails prompt_cache_key safe_prompt".split()
)
"""Fields that Mistral's chat takes; it refuses all others."""
UNKNOWN_NAME = 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'
_PIECE = re.compile(r"\s*\S+|\s+$")


@dataclass
class Service:
    """One provider's way of speaking.

    Attributes:
        kind: which provider.
        delay: seconds a token takes.
        parts: a llama-server that can be told which part of a message is to be continued.
        opens: its template opens the thinking in the prompt, so what it sends begins with no mark.
        answer: what its model answers.
        drafts: a llama-server with a draft model: it has no log-probabilities for what that one proposed.
        faults: answers given in place of the next requests: functions from a request to a response.
    """

    kind: str
    delay: float = 0.0
    parts: bool = True
    opens: bool = False
    answer: str = ANSWER
    drafts: bool = False
    faults: list[Callable[[web.Request], Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    open: int = 0
    written: int = 0
    url: str = ""

    def app(self) -> web.Application:
        """The server."""
        app = web.Application(client_max_size=1 << 28)
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/completions", self.completions)
        app.router.add_post("/v1/chat/completions", self.chat)
        return app

    async def models(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._key(request)) is not None:
            return refused
        owners = {"llama-server": "llamacpp", "vllm": "vllm", "ollama": "library", "sglang": "sglang"}
        entry: dict[str, Any] = {
            "id": "model",
            "object": "model",
            "owned_by": owners.get(self.kind, self.kind),
        }
        if self.kind == "llama-server":
            entry["meta"] = {"n_ctx_train": 4096}
        return web.json_response({"object": "list", "data": [entry]})

    # --- raw completions ------------------------------------------------------------------------

    async def completions(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        if isinstance(body, web.StreamResponse):
            return body
        if self.kind not in ("together", "fireworks", "deepinfra", "llama-server", "lm-studio"):
            return wire.refusal(404, "not found")
        prompt = body["prompt"]
        if isinstance(prompt, list):
            if self.kind not in ("fireworks", "llama-server"):
                return wire.refusal(400, "prompt must be a string")
            prompt = "".join(CODEC.token_text(i) for i in prompt)
        # The template's marks are in the text: this is what "raw" means.
        _, _, tail = prompt.rpartition("<|im_start|>assistant\n")
        thinking, closed, answer = tail.removeprefix("<think>\n").partition("\n</think>\n\n")
        text = (
            self._rest(self.answer, answer)
            + ("<|im_end|>" if self.kind in ("fireworks", "llama-server") else "")
            if closed
            else self._rest(THINKING, thinking) + "\n</think>\n\n" + self.answer
        )
        if self.kind == "llama-server":
            return await self._stream(request, body, self._listed_events(text, body.get("logprobs") or 0))
        return await self._stream(
            request, body, self._completion_events(text, bool(body.get("return_token_ids")))
        )

    def _listed_events(self, text: str, top: int) -> Iterator[dict[str, Any]]:
        """llama-server: no event for a token that ends inside a character, no text for the end of a turn."""
        held = b""
        for n, token in enumerate(CODEC.encode_control(text)):
            held += CODEC.piece(token) or CODEC.token_text(token).replace("<|im_end|>", "").encode()
            try:
                shown = held.decode()
            except UnicodeDecodeError:
                continue
            held = b""
            best = [{"id": token, "token": shown, "logprob": -0.25}, {"id": 0, "token": "?", "logprob": -2.0}]
            entry = {"id": token, "token": shown, "logprob": -0.25, "top_logprobs": best[:top]}
            logprobs = {"content": [entry]} if top and not (self.drafts and n % 2) else None
            yield {"choices": [{"index": 0, "text": shown, "logprobs": logprobs, "finish_reason": None}]}
        yield {"choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}]}

    def _completion_events(self, text: str, ids: bool) -> Iterator[dict[str, Any]]:
        if ids and self.kind == "fireworks":
            for token in CODEC.encode_control(text):
                shown = CODEC.piece(token).decode("utf-8", "replace")
                yield {"choices": [{"index": 0, "text": shown, "token_ids": [token], "finish_reason": None}]}
        else:
            for piece in _PIECE.findall(text):
                yield {"choices": [{"index": 0, "text": piece, "finish_reason": None}]}
        yield {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}

    # --- chat -----------------------------------------------------------------------------------

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        if isinstance(body, web.StreamResponse):
            return body
        messages = body["messages"]
        last = messages[-1]
        begun = last["role"] == "assistant"
        if self.kind == "openai":
            if "max_tokens" in body:
                return wire.refusal(400, "Unsupported parameter: 'max_tokens'; use 'max_completion_tokens'")
            return await self._stream(request, body, self._closed_chat(messages))
        if self.kind in ("deepseek", "mistral") and begun and not last.get("prefix"):
            return wire.refusal(400, "the last message must be from the user, or have prefix")
        if self.kind == "mistral" and (unknown := body.keys() - MISTRAL):
            return web.json_response(_forbidden(min(unknown)), status=422)
        if self.kind == "gemini" and "seed" in body:
            return web.json_response([{"error": {"code": 400, "message": UNKNOWN_NAME}}], status=400)
        if self.kind == "llama-server" and begun and not body.get("continue_final_message"):
            begun = False
        if self.kind == "llama-server" and begun and body.get("add_generation_prompt") is not False:
            return wire.refusal(400, "Cannot set both add_generation_prompt and continue_final_message")
        thinking, answer, closed = self._so_far(last) if begun else ("", "", False)
        if self.kind == "llama-server" and self.parts and body.get("continue_final_message") is not True:
            closed = begun and body.get("continue_final_message") == "content"
        if closed:
            return await self._stream(request, body, self._chat_events("", self._rest(ANSWER, answer)))
        return await self._stream(
            request, body, self._chat_events(self._rest(THINKING, thinking), ANSWER, begun)
        )

    def _so_far(self, last: dict[str, Any]) -> tuple[str, str, bool]:
        """Thinking and answer as this provider's prefix carries them."""
        content = last["content"]
        if self.kind in ("deepseek", "llama-server"):
            return last.get("reasoning_content") or "", content, bool(content)
        if self.kind == "mistral":
            thinking = "".join(one["text"] for one in content[0]["thinking"])
            return thinking, "".join(one["text"] for one in content[1:]), content[0]["closed"]
        thinking, closed, answer = content.removeprefix("<think>\n").partition("\n</think>\n\n")
        return thinking, answer, bool(closed)

    def _chat_events(self, thinking: str, answer: str, begun: bool = False) -> Iterator[dict[str, Any]]:
        field_name = {
            "deepseek": "reasoning_content",
            "llama-server": "reasoning_content",
            "openrouter": "reasoning",
        }
        if not begun:  # its parser looks for the opening mark, and that is in the prompt of a begun thinking
            field_name["ollama"] = "reasoning"
        if self.kind in field_name:
            yield from (_delta({field_name[self.kind]: piece}) for piece in _PIECE.findall(thinking))
            yield from (_delta({"content": piece}) for piece in _PIECE.findall(answer))
        elif self.kind == "mistral":
            for piece in _PIECE.findall(thinking):
                inner = [{"type": "text", "text": piece}]
                yield _delta({"content": [{"type": "thinking", "thinking": inner, "closed": False}]})
            yield from (_delta({"content": piece}) for piece in _PIECE.findall(answer))
        else:
            head = "" if begun or self.opens or not thinking else "<think>\n"
            text = f"{head}{thinking}\n</think>\n\n{answer}" if thinking or begun else answer
            yield from (_delta({"content": piece}) for piece in _PIECE.findall(text))
        last = _delta({}, "stop")
        last["usage"] = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}
        yield last

    def _closed_chat(self, messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """A closed model: it never continues, it answers; asked in words to go on, it repeats a little."""
        last = messages[-1]["content"]
        if "<reply>" in last:
            text = self._rest(ANSWER, last.rpartition("<reply>\n")[2]).lstrip()
        elif "<reasoning>" in last:
            before = last.rpartition("<reasoning>\n")[2]
            rest = self._rest(THINKING, before).lstrip()
            text = " ".join(before.split()[-4:]) + (" " if before else "") + rest + "\n</think>"
        else:
            text = ANSWER
        yield from (_delta({"content": piece}) for piece in _PIECE.findall(text))
        yield _delta({}, "stop")

    def _rest(self, whole: str, begun: str) -> str:
        """What follows after ``begun``."""
        if begun.endswith(f"is {NUMBER[:2]}"):
            return NUMBER[2:] + "."
        if whole.startswith(begun):
            return whole[len(begun) :]
        # Not its own trace: a student has written in between.
        return " c18 c19 c20. Good." if len(begun) < 400 else " Done."

    # --- the wire -------------------------------------------------------------------------------

    async def _body(self, request: web.Request) -> Any:
        if (refused := self._key(request)) is not None:
            return refused
        body = await request.json()
        self.requests.append(body)
        if self.faults and body.get("stream"):
            return await self.faults.pop(0)(request)
        if body["model"] != "model":
            return wire.refusal(404, f"The model `{body['model']}` does not exist")
        return body

    def _key(self, request: web.Request) -> web.Response | None:
        if self.kind in ("llama-server", "vllm", "sglang", "ollama"):
            return None
        given = request.headers.get("Authorization", "")
        if given != f"Bearer {KEY}":
            # Some services quote the key in full.
            return wire.refusal(401, f"Incorrect API key provided: {given.removeprefix('Bearer ')}")
        return None

    async def _stream(
        self, request: web.Request, body: dict[str, Any], events: Iterator[dict[str, Any]]
    ) -> web.StreamResponse:
        response = await wire.open_stream(request, **{"x-ratelimit-remaining-requests": "99"})
        self.open += 1
        try:
            # Comments keep connections alive (DeepSeek, OpenRouter); a parser must skip them.
            await response.write(b": keep-alive\n\n")
            limit = body.get("max_tokens") or body.get("max_completion_tokens") or 1 << 30
            for n, event in enumerate(events):
                if n >= limit:
                    event["choices"][0]["finish_reason"] = "length"
                if self.delay:
                    await asyncio.sleep(self.delay)
                await response.write(wire.event(event))
                self.written += 1
                if n >= limit:
                    break
            await response.write(wire.DONE)
        except (ConnectionError, asyncio.CancelledError):
            return response
        finally:
            self.open -= 1
        return response


def _forbidden(name: str) -> dict[str, Any]:
    """How Mistral refuses a field."""
    detail = {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
    return {"object": "error", "message": {"detail": [detail]}, "type": "invalid_request_error", "code": None}


def _delta(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [wire.chat_delta(delta, finish)]}


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[Service]:
    """Serve on a free port of this machine."""
    runner, url = await wire.serve(service.app())
    service.url = f"{url}/v1"
    try:
        yield service
    finally:
        await runner.cleanup()
