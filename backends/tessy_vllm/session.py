"""One model's view of one trajectory: text outside, token ids inside."""

from __future__ import annotations

from array import array
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from tessy.abc import Session
from tessy.errors import BackendRejected, BackendTimeout, BackendUnavailable, ConfigError
from tessy.remote.prefix import Prefix
from tessy.seeds import request_seed
from tessy.tokens import TokenLedger, TokenReader, token_offsets
from tessy.types import Chunk, Finish, Prompt, Request, Scores, Usage
from tessy_vllm.engine import Job, Step
from tessy_vllm.options import SAMPLING

if TYPE_CHECKING:
    from tessy_vllm.backend import Running

__all__ = ["VllmSession"]


class VllmSession(Session):
    """A trajectory in vLLM. Its tokens are an append-only list, so the prefix cache always fits."""

    def __init__(self, running: Running, prompt: Prompt, key: str) -> None:
        self._running = running
        self._prompt = prompt
        self._key = key
        self._ledger: TokenLedger | None = None
        self._prefix = Prefix()
        self._usage = Usage()

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """See `Session.generate`."""
        running, turn = self._running, request.turn
        if turn.phase == "think" and not running.format.thinks:
            # A model that does not think has nothing to say here.
            yield Chunk(finish="end_of_thinking")
            return
        reader = TokenReader(running.codec, running.format, turn.phase, more=request.more)
        job = self._job(request, reader)
        cached: int | None = None
        refused = False
        written = array("I")
        last: list[Chunk] = []
        try:
            async with aclosing(running.engine.generate(job)) as steps:
                async for step in steps:
                    written.extend(step.tokens)
                    cached = cached if step.cached is None else step.cached
                    chunks = _chunks(reader, step)
                    if reader.finished is None:
                        for chunk in chunks:
                            yield chunk
                        continue
                    # The end is told last: whoever hears it closes the stream, and what follows (the usage)
                    # would be lost with the connection.
                    last += chunks
                    if step.finish is None and not step.drained:
                        break
        except BackendRejected:
            refused = not written  # a prompt that is refused is not read
            raise
        except (BackendUnavailable, BackendTimeout):
            # Once the text is whole, a lost connection costs no more than the usage's figures.
            if reader.finished is None:
                raise
        finally:
            if refused or not job.asked.now:
                # Refused, failed, or taken back while it waited for a place: nobody has read its prompt.
                self._usage += Usage(requests=int(job.asked.ever))
            else:
                known = self._prefix.cached(job.prompt) if cached is None else cached
                self._usage += Usage(len(job.prompt), known, len(written), 1, int(cached is None))
                self._prefix.seen(len(job.prompt), written)
        for chunk in last:
            yield chunk

    async def score(self, request: Request, text: str, *, top: int = 0) -> Scores:
        """See `Session.score`."""
        codec = self._running.codec
        before = self._ids(request)
        tokens = codec.encode(text)
        if not tokens:
            return Scores((), ())
        prompt = [*before, *tokens]
        self._room(len(prompt))
        logprobs = await self._running.engine.score(prompt, len(before), top, self._key)
        self._usage += Usage(len(prompt), 0, 1, 1)
        return Scores(token_offsets(map(codec.piece, tokens)), tuple(logprobs))

    def usage(self) -> Usage:
        """See `Session.usage`: what has reached us, with an estimate of what was cached if it was aborted."""
        return self._usage

    async def close(self) -> None:
        """See `Session.close`."""
        self._running.engine.forget(self._key)

    def _job(self, request: Request, reader: TokenReader) -> Job:
        ids = self._ids(request)[:]
        room = self._room(len(ids))
        limit = request.turn.max_tokens
        # vLLM seeds a request, not a position: a turn resumed in its middle must not repeat its noise.
        seed = request_seed(request.seed, request.done)
        return Job(
            prompt=ids,
            max_tokens=room if limit is None else min(room, limit),
            stops=reader.stops | self._running.codec.ends,
            sampling=self._sampling(request),
            seed=seed,
            top=request.turn.top_logprobs,
            key=self._key,
        )

    def _ids(self, request: Request) -> array[int]:
        if self._ledger is None:
            running = self._running
            self._ledger = TokenLedger(running.codec, running.format, self._prompt, request.turn.role)
        return self._ledger.sync(request)

    def _room(self, length: int) -> int:
        """How many more tokens fit after ``length``, at least one."""
        context = self._running.info.context
        if length >= context:
            raise BackendRejected(
                f"vllm:{self._running.model}: the trace and its prompt have {length:,} tokens, the context "
                f"{context:,}; raise max_model_len or lower --max-length"
            )
        return context - length

    def _sampling(self, request: Request) -> dict[str, Any]:
        changes = dict(request.turn.sampling or {})
        if unknown := set(changes) - set(SAMPLING):
            raise ConfigError(f"vllm: no sampling option {min(unknown)!r}; there are {', '.join(SAMPLING)}")
        return {**self._running.sampling, **changes}


def _chunks(reader: TokenReader, step: Step) -> list[Chunk]:
    """A step as chunks that are final."""
    chunks = []
    if step.tokens and (chunk := reader.feed(step.tokens, step.logprobs)) is not None:
        chunks.append(chunk)
    if step.finish is not None and reader.finished is None:
        finish: Finish = "end_of_turn" if step.finish == "stop" else step.finish
        chunks.append(reader.finish(finish))
    return chunks
