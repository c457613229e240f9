"""One model's view of one trajectory: text outside, tokens inside."""

from __future__ import annotations

from array import array
from collections.abc import AsyncGenerator

from tessy.abc import Session
from tessy.errors import ConfigError
from tessy.tokens import TokenLedger, TokenReader
from tessy.types import Chunk, Prompt, Request, Scores, Usage
from tessy_llamacpp.generation import Generation
from tessy_llamacpp.loaded import Loaded
from tessy_llamacpp.options import Sampling
from tessy_llamacpp.sampling import Sampler

__all__ = ["LlamaCppSession"]

_UNLIMITED = 1 << 30


class LlamaCppSession(Session):
    """A trajectory in llama.cpp. Its KV cache stays between turns while there is room."""

    def __init__(self, loaded: Loaded, prompt: Prompt) -> None:
        self._loaded = loaded
        self._prompt = prompt
        self._ledger: TokenLedger | None = None
        self._usage = Usage()
        self._closed = False

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """See `Session.generate`."""
        loaded, turn = self._loaded, request.turn
        if turn.phase == "think" and not loaded.format.thinks:
            # A model that does not think has nothing to say here.
            yield Chunk(finish="end_of_thinking")
            return
        context = list(self._ids(request))
        reader = TokenReader(loaded.model, loaded.format, turn.phase)
        sampler = Sampler(self._sampling(request), loaded.model.n_vocab, request.seed, request.done, context)
        generation = Generation(
            owner=self,
            context=context,
            limit=turn.max_tokens if turn.max_tokens is not None else _UNLIMITED,
            stops=loaded.model.ends | reader.stops,
            sampler=sampler,
            top=turn.top_logprobs,
        )
        loaded.engine.submit(generation)
        try:
            while reader.finished is None:
                await generation.news()
                chunk = self._read(generation, reader)
                if chunk is not None:
                    yield chunk
        finally:
            await self._retire(generation)

    async def score(self, request: Request, text: str, *, top: int = 0) -> Scores:
        """See `Session.score`."""
        loaded = self._loaded
        before = self._ids(request)
        tokens = loaded.model.encode(text)
        if not tokens:
            return Scores((), ())
        generation = Generation(self, [*before, *tokens], 0, frozenset(), None, top, score=len(tokens))
        loaded.engine.submit(generation)
        try:
            await generation.over()
        finally:
            await self._retire(generation)
        if generation.error is not None:
            raise generation.error
        return Scores(loaded.offsets(tokens), tuple(generation.take_logprobs(len(tokens))))

    def usage(self) -> Usage:
        """See `Session.usage`; exact, since a stream is retired before its generator returns."""
        return self._usage

    async def close(self) -> None:
        """See `Session.close`."""
        if not self._closed:
            self._closed = True
            self._loaded.engine.release(self)

    def _ids(self, request: Request) -> array[int]:
        if self._ledger is None:
            loaded = self._loaded
            self._ledger = TokenLedger(loaded.model, loaded.format, self._prompt, request.turn.role)
        return self._ledger.sync(request)

    def _read(self, generation: Generation, reader: TokenReader) -> Chunk | None:
        """What has come since the last time, as a chunk that is final."""
        ended = generation.ended  # read before the tokens: what comes later is seen next time
        tokens = generation.take()
        if tokens:
            self._loaded.engine.took(len(tokens))
        logprobs = generation.take_logprobs(len(tokens)) if generation.top else None
        chunk = reader.feed(tokens, logprobs) if tokens else None
        if ended and reader.finished is None:
            if generation.error is not None:
                raise generation.error
            assert generation.finish is not None
            last = reader.finish(generation.finish)
            return last if chunk is None else _joined(chunk, last)
        return chunk

    async def _retire(self, generation: Generation) -> None:
        """Abort if need be, wait until the engine is through, and book what it really read and wrote."""
        if not generation.ended:
            generation.aborted = True
            self._loaded.engine.poke()
            await generation.over()
        self._usage += Usage(generation.at, generation.cached, generation.generated, 1)

    def _sampling(self, request: Request) -> Sampling:
        changes = request.turn.sampling
        if not changes:
            return self._loaded.sampling
        known = Sampling.model_fields
        if unknown := set(changes) - set(known):
            raise ConfigError(f"llamacpp: no sampling option {min(unknown)!r}; there are {', '.join(known)}")
        return Sampling(**{**self._loaded.sampling.model_dump(), **changes})


def _joined(a: Chunk, b: Chunk) -> Chunk:
    """Two chunks as one; the second is the last."""
    return Chunk(
        a.text + b.text,
        a.tokens + b.tokens,
        (a.ids or ()) + (b.ids or ()),
        (a.offsets or ()) + tuple(len(a.text) + offset for offset in b.offsets or ()),
        logprobs=None
        if a.logprobs is None and b.logprobs is None
        else (a.logprobs or ()) + (b.logprobs or ()),
        finish=b.finish,
    )
