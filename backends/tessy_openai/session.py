"""One model's view of one trajectory, through a service."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tessy.abc import Session
from tessy.errors import BackendError, BackendRejected, BackendUnavailable, ConfigError
from tessy.remote.asked import Asked
from tessy.remote.grace import GRACE
from tessy.remote.prefix import Prefix
from tessy.seeds import request_seed
from tessy.tokens import TokenLedger, TokenReader
from tessy.types import Chunk, Prompt, Request, Usage
from tessy_openai.answering import AnswerCheck
from tessy_openai.events import Delta, read_chat, read_completion
from tessy_openai.fields import common, with_extra
from tessy_openai.instruct import InstructReader
from tessy_openai.listed import ListedTokens
from tessy_openai.modes import CHAT, COMPLETIONS, FINISH, View, chat_body, raw_text
from tessy_openai.options import SAMPLING
from tessy_openai.reading import ChatReader, MarkedText, RawReader, Reader
from tessy_openai.refusal import said

if TYPE_CHECKING:
    from tessy_openai.backend import Running

__all__ = ["OpenAISession"]

_MODEST = 4096
"""Tokens that every service gives in one answer."""
_UNLIMITED = 1 << 30
_CHARACTERS = 4.0
"""Characters a token has, until the service tells."""
_MARGIN = 16
"""Tokens that a service may put around a prompt."""


@dataclass(slots=True)
class _Held:
    """An answer that has begun in the stream of a thinking: nobody else can write it."""

    deltas: AsyncGenerator[Delta, None]
    left: str
    spans: int
    check: AnswerCheck
    finish: str | None


class OpenAISession(Session):
    """A trajectory at a service that may show its tokens or hide them, and continue or not.

    A service that cannot continue sends thinking and answer in one stream: between the two turns the stream
    is held, so a policy that lets one model write all works with it.
    """

    def __init__(self, running: Running, prompt: Prompt, key: str) -> None:
        self._running = running
        self._prompt = prompt
        self._key = key
        self._ledger: TokenLedger | None = None
        self._held: _Held | None = None
        self._usage = Usage()  # but for what was generated, which changes with each event
        self._generated = 0
        self._prefix = Prefix()
        self._per_token = _CHARACTERS
        self._cached = 0

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """See `Session.generate`."""
        running = self._running
        if request.turn.phase == "think" and running.format is not None and not running.format.thinks:
            yield Chunk(finish="end_of_thinking")
            return
        held, self._held = self._held, None
        if held is not None:
            # The thinking's last pieces may have come since, if it was long; nobody else's text.
            since = {span.turn for span in request.spans[held.spans :]}
            if request.turn.phase == "answer" and len(since) <= 1:
                async with aclosing(self._go_on(held, request.turn.max_tokens or _UNLIMITED)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            await held.deltas.aclose()
        async with aclosing(self._begin(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _begin(self, request: Request) -> AsyncGenerator[Chunk, None]:
        path, body, reader = self._request(request)
        limit = request.turn.max_tokens or _UNLIMITED
        if {"max_tokens", self._running.service.limit_field} & body.keys():
            # The service ends the stream itself, and tells the usage after that; unless it ignores limits.
            limit += 1
        deltas = self._deltas(path, body, request.turn.top_logprobs)
        try:
            written = 0
            async for delta in deltas:
                chunks = reader.feed(delta)
                for chunk in chunks:
                    written += chunk.tokens
                if delta.finish is not None:
                    self._check_finish(delta.finish)
                    # The end is told last: whoever hears it closes the stream, and the usage, which follows,
                    # would be lost with the connection.
                    chunks += reader.end(delta.finish)
                    await self._drain(deltas)
                elif reader.finished is None and written >= limit:
                    chunks += reader.end("length")
                if reader.finished is not None:
                    self._hold(request, reader, deltas, delta.finish)
                for chunk in chunks:
                    yield chunk
                if reader.finished is not None:
                    return
            raise BackendUnavailable(f"{self._running.what}: the stream broke off")
        finally:
            if isinstance(reader, ChatReader):
                self._learn(reader)
            if self._held is None:
                await deltas.aclose()

    def _learn(self, reader: ChatReader) -> None:
        """Whether a thinking that we began comes apart.

        A fresh one tells nothing of that: a parser that looks for the opening mark sees it there only.
        """
        if reader.begun and self._running.separates is None:
            self._running.separates = reader.separates

    def _hold(
        self, request: Request, reader: Reader, deltas: AsyncGenerator[Delta, None], finish: str | None
    ) -> None:
        """Keep the stream for the answer's turn, if that cannot be asked for by itself."""
        if self._running.mode == "none" and isinstance(reader, ChatReader):
            if reader.finished == "end_of_thinking" and request.turn.phase == "think":
                check = AnswerCheck(self._running.what, closed=False, opened=reader.opened)
                self._held = _Held(deltas, reader.left, len(request.spans), check, finish)

    async def _go_on(self, held: _Held, limit: int) -> AsyncGenerator[Chunk, None]:
        """The answer, from the stream in which it has begun. The service knows no limit of it."""
        async with aclosing(held.deltas) as deltas:
            if held.left:
                held.check.feed(Delta(held.left))
                yield Chunk(held.left, 1, exact=False)
            if held.finish is not None:  # all of it came at once
                held.check.end()
                yield Chunk(finish=FINISH[held.finish])
                return
            begun, written = bool(held.left), int(bool(held.left))
            async for delta in deltas:
                held.check.feed(delta)
                if delta.finish is not None:
                    self._check_finish(delta.finish)
                    held.check.end()
                # Line breaks between the thinking and the answer are of neither.
                if text := delta.text if begun else delta.text.lstrip("\n"):
                    begun, written = True, written + 1
                    yield Chunk(text, 1, exact=False)
                if delta.finish is not None:
                    await self._drain(deltas)
                    yield Chunk(finish=FINISH[delta.finish])
                    return
                if written >= limit:
                    yield Chunk(finish="length")
                    return
        # An answer that has merely stopped coming would pass for a whole one.
        raise BackendUnavailable(f"{self._running.what}: the stream broke off")

    async def _deltas(self, path: str, body: Mapping[str, Any], top: int) -> AsyncGenerator[Delta, None]:
        """The events of a request, through the pool, with the books kept."""
        running = self._running
        counted, size, written, refusal = 0, _size(body), array("I"), ""
        cost = self._expected(body, size)
        asked, answered = Asked(), False

        def open(url: str) -> AsyncGenerator[Any, None]:
            return running.clients.stream(url, path, body)

        stream = running.pool.stream(self._key, open, tokens=cost.prompt, asked=asked)
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    answered = True
                    delta = read_chat(event) if path == CHAT else read_completion(event, top)
                    new = (
                        len(delta.ids) if delta.ids is not None else int(bool(delta.text or delta.reasoning))
                    )
                    if delta.generated is not None:
                        # The service's own figure is the one that counts.
                        new = delta.generated - counted
                    if delta.generated is not None or delta.prompt is not None:
                        cost = self._told(delta, cost, size)
                    counted += new
                    written.extend(delta.ids or ())
                    running.pool.spent(new)
                    self._generated += new
                    refusal += delta.refusal
                    if refusal and delta.finish is not None:
                        raise BackendRejected(f"{running.what}: the model refuses: {said(refusal)}")
                    yield delta
        except (GeneratorExit, asyncio.CancelledError):
            # Taken back before its first token, as what is asked ahead may be: its prompt is read by then.
            answered = answered or asked.now
            raise
        finally:
            self._usage += Usage(requests=int(asked.ever))
            if answered:
                self._usage += cost
                self._prefix.seen(cost.prompt, written)
                # A server of one's own, with a prefix cache that others do not empty.
                if running.service.stops:
                    self._cached = cost.prompt

    def _expected(self, body: Mapping[str, Any], size: int) -> Usage:
        """What a prompt costs, as long as the service has not told."""
        prompt = body.get("prompt")
        if isinstance(prompt, list):
            return Usage(size, self._prefix.cached(prompt), estimated=1)
        tokens = round(size / self._per_token)
        return Usage(tokens, min(tokens, self._cached), estimated=1)

    def _told(self, delta: Delta, cost: Usage, size: int) -> Usage:
        """The same with what the service tells: in mid-stream it says nothing of its cache."""
        prompt = cost.prompt if delta.prompt is None else delta.prompt
        self._per_token = size / max(1, prompt)
        if delta.cached is None:
            return replace(cost, prompt=prompt)
        self._cached = delta.cached
        return Usage(prompt, delta.cached)

    async def _drain(self, deltas: AsyncGenerator[Delta, None]) -> None:
        """Read the usage that follows the end; the connection can then be used again.

        The text is whole by now: that the connection is lost here, stalls or brings an error costs no more
        than the usage's figures.
        """
        with suppress(BackendError, TimeoutError):
            async with asyncio.timeout(GRACE):
                async for _ in deltas:
                    pass

    def _check_finish(self, reason: str) -> None:
        if reason not in FINISH:
            raise BackendUnavailable(
                f"{self._running.what}: the service ended the stream for its own reason: {reason!r}"
            )
        if FINISH[reason] == "aborted":
            # Its model would write the same again, and be stopped again, for as long as it is asked.
            raise BackendRejected(f"{self._running.what}: the service stopped the text: {reason!r}")

    # --- requests -------------------------------------------------------------------------------

    def _request(self, request: Request) -> tuple[str, dict[str, Any], Reader]:
        running = self._running
        mode = running.mode
        view = View(running.what, self._prompt, request, running.controls)
        fresh = _at_line_start(request)
        body = {**self._fields(request), "model": running.model}
        if mode in ("token-ids", "text"):
            assert running.format is not None
            if mode == "token-ids":
                body["prompt"] = self._ids(request)
            else:
                body["prompt"] = raw_text(view, running.format)
            body |= running.service.raw
            body["max_tokens"] = self._most(request, body["prompt"])
            if request.turn.top_logprobs:
                body["logprobs"] = request.turn.top_logprobs
            if hidden := self._hidden_mark(request):
                body["stop"] = [hidden]
            return COMPLETIONS, with_extra(body, running.extra), self._raw_reader(request, fresh)
        body |= chat_body(view, mode, running.service)
        # Most services refuse more than they can give, and none says how much that is.
        limits = [n for n in (request.turn.max_tokens, running.max_tokens) if n is not None]
        if limits and (min(limits) <= _MODEST or running.max_tokens is not None):
            body[running.service.limit_field] = min(limits)
        if running.effort is not None:
            body["reasoning_effort"] = running.effort
        return CHAT, with_extra(body, running.extra), self._chat_reader(request, fresh)

    def _chat_reader(self, request: Request, fresh: bool) -> Reader:
        running, thinking = self._running, request.thinking
        if running.mode == "instruct" and (thinking or request.answer):
            return InstructReader(request, FINISH)
        begun = bool(thinking) and running.service.reasoning == "content"
        return ChatReader(
            request.turn.phase,
            begun=begun,
            separates=running.separates or (True if thinking and not begun else None),
            fresh=fresh,
            finish=FINISH,
            more=request.more,
            check=self._check(request, thinking),
        )

    def _check(self, request: Request, thinking: str) -> AnswerCheck:
        # A question of a policy leaves it to the model whether it thinks before it answers.
        closed = request.closed or bool(thinking or request.answer)
        return AnswerCheck(self._running.what, closed=closed, opened=bool(thinking), before=request.answer)

    def _raw_reader(self, request: Request, fresh: bool) -> Reader:
        running, phase = self._running, request.turn.phase
        assert running.format is not None
        if phase == "think":
            marked = MarkedText((running.format.end_mark,), "end_of_thinking", fresh=fresh, more=request.more)
        else:
            marked = MarkedText(running.format.turn_ends, "end_of_turn")
        tokens = listed = None
        if running.codec is not None and running.mode == "token-ids":
            tokens = TokenReader(running.codec, running.format, phase, more=request.more)
            listed = ListedTokens(running.what, running.codec)
        finish = FINISH
        if self._hidden_mark(request):
            finish = {**FINISH, "stop": "end_of_thinking"}
        return RawReader(marked, tokens, finish, listed)

    def _hidden_mark(self, request: Request) -> str:
        """The control string that ends the thinking, at a service that shows none: it must stop there."""
        running = self._running
        assert running.format is not None
        hides = (
            "skip_special_tokens" not in running.service.raw and "return_token_ids" not in running.service.raw
        )
        mark = running.format.end_mark
        return mark if request.turn.phase == "think" and hides and mark.startswith(("<|", "<｜")) else ""

    def _ids(self, request: Request) -> list[int]:
        running = self._running
        assert running.codec is not None
        assert running.format is not None
        if self._ledger is None:
            self._ledger = TokenLedger(running.codec, running.format, self._prompt, request.turn.role)
        ids = self._ledger.sync(request)
        if running.context is not None and len(ids) >= running.context:
            raise BackendRejected(
                f"{running.what}: the trace and its prompt have {len(ids):,} tokens, the context "
                f"{running.context:,}; lower --max-length"
            )
        return ids.tolist()

    def _most(self, request: Request, prompt: str | list[int]) -> int:
        """The limit of a completion, which without one would end after a few tokens."""
        running = self._running
        limits = [n for n in (request.turn.max_tokens, running.max_tokens) if n is not None]
        if running.context is None:
            return min([*limits, _MODEST])
        if isinstance(prompt, list):
            length = len(prompt)
        elif running.codec is not None:
            length = len(running.codec.encode(prompt)) + _MARGIN
        else:
            length = len(prompt) // 2 + _MARGIN  # no language takes more than a token for two characters
        return max(1, min([*limits, running.context - length]))

    def _fields(self, request: Request) -> dict[str, Any]:
        running = self._running
        changes = dict(request.turn.sampling or {})
        if unknown := set(changes) - set(SAMPLING):
            raise ConfigError(
                f"{running.what}: no sampling option {min(unknown)!r}; there are {', '.join(SAMPLING)}"
            )
        seed = request_seed(request.seed, request.done)
        return {**running.sampling, **changes, **common(running.service, running.mode, seed)}

    def usage(self) -> Usage:
        """See `Session.usage`: as the service counts; what an aborted stream had not told is estimated."""
        # What came with the end of a thinking belongs to whoever reads it.
        left = int(self._held is not None and bool(self._held.left))
        return replace(self._usage, generated=self._generated - left)

    async def halt(self) -> None:
        """See `Session.halt`: an answer behind a thinking would be written to its end, and billed."""
        held, self._held = self._held, None
        if held is not None:
            await held.deltas.aclose()

    async def close(self) -> None:
        """See `Session.close`."""
        await self.halt()
        self._running.pool.forget(self._key)


def _at_line_start(request: Request) -> bool:
    """Whether the thinking goes on at the beginning of a line; it need not be joined to tell."""
    last = next((span.text for span in reversed(request.spans) if span.phase == "think" and span.text), "\n")
    return last.endswith("\n")


def _size(body: Mapping[str, Any]) -> int:
    """Tokens of a request's prompt, or characters where it is text."""
    prompt = body.get("prompt")
    return len(str(body.get("messages")) if prompt is None else prompt)
