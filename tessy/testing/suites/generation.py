"""Reading streams, and what must hold of every one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from tessy.abc import Backend, Session
from tessy.boundary import uncounted
from tessy.errors import BackendError, TessyError
from tessy.types import Chunk, Finish, Phase, Request, Scores, Span, TokenLogprob, Turn

__all__ = [
    "Heard",
    "check_logprobs",
    "check_scores",
    "endless",
    "heard_or_refused",
    "read",
    "started",
    "still",
    "think",
    "usage_grows",
]

_MOMENT = 0.5
"""Seconds that what is ending may take to end."""
_FINISHES = ("end_of_thinking", "end_of_turn", "length", "stop", "aborted")


@dataclass
class Heard:
    """What a stream said."""

    chunks: list[Chunk] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def tokens(self) -> int:
        """As the chunks count them."""
        return sum(chunk.tokens for chunk in self.chunks)

    @property
    def exact(self) -> bool:
        """Whether that is counted, not estimated."""
        return all(chunk.exact for chunk in self.chunks)

    @property
    def finish(self) -> Finish | None:
        """Why it ended; ``None``: it was closed before."""
        return self.chunks[-1].finish if self.chunks else None

    def span(self, author: str, phase: Phase = "think", turn: int = 0) -> Span:
        """The whole, as the core would commit it."""
        ids = tuple(i for chunk in self.chunks for i in chunk.ids or ()) or None
        covered = len(self.text) if ids else 0
        return Span(author, phase, self.text, turn, self.tokens, ids, covered, self.exact)

    def check(self) -> None:
        """What every chunk, and the stream as a whole, must be like."""
        for chunk in self.chunks:
            assert isinstance(chunk, Chunk), f"the stream gives {chunk!r:.80}, not a Chunk"
            chunk.text.encode()  # no half of a surrogate pair
            assert (chunk.ids is None) == (chunk.offsets is None), f"ids without offsets: {chunk}"
            if chunk.ids is not None and chunk.offsets is not None:
                assert len(chunk.ids) == len(chunk.offsets) == chunk.tokens, f"not parallel: {chunk}"
                assert list(chunk.offsets) == sorted(chunk.offsets), f"offsets do not ascend: {chunk}"
                assert all(0 <= at <= len(chunk.text) for at in chunk.offsets), f"outside: {chunk}"
            if chunk.logprobs is not None:
                assert len(chunk.logprobs) == chunk.tokens, f"not one log-probability a token: {chunk}"
        ends = [i for i, chunk in enumerate(self.chunks) if chunk.finish is not None]
        assert ends in ([], [len(self.chunks) - 1]), "only the last chunk carries finish"
        assert all(chunk.finish in (None, *_FINISHES) for chunk in self.chunks)
        # A count may come late, or be an estimate (``exact=False``); without one there is nothing to limit.
        assert self.tokens or not self.text or not ends, uncounted("the backend", len(self.text))
        self._check_ids()

    def _check_ids(self) -> None:
        """One id stands for one text, wherever it comes; looked at where tokens are whole ASCII words.

        But for the first one: there are tokenizers that drop the space a text begins with.
        """
        text, at, listed = self.text, 0, list[tuple[int, int]]()
        for chunk in self.chunks:
            listed += [(token, at + i) for token, i in zip(chunk.ids or (), chunk.offsets or (), strict=True)]
            at += len(chunk.text)
            if chunk.ids is None and chunk.text:
                return
        known: dict[int, str] = {}
        for (token, start), (_, end) in pairwise(listed[1:]):
            word = text[start:end]
            if word.strip().isalpha() and word.isascii():
                assert known.setdefault(token, word) == word, f"token {token}: {known[token]!r}, {word!r}"


@asynccontextmanager
async def started(backend: Backend) -> AsyncIterator[Backend]:
    """Start a backend, close it, and see that no task is left."""
    before = asyncio.all_tasks()
    try:
        await backend.start()
        yield backend
    finally:
        await backend.close()
    left = asyncio.all_tasks() - before
    if left:  # a generator that was dropped is closed by a task of the loop's own
        _, left = await asyncio.wait(left, timeout=_MOMENT)
    assert not left, f"close() leaves tasks running: {left}"


def think(
    role: str = "student", *spans: Span, seed: int = 7, max_tokens: int | None = 24, **turn: object
) -> Request:
    """A request to go on with the thinking."""
    return Request(Turn(role, "think", max_tokens=max_tokens, **turn), spans, seed)  # type: ignore[arg-type]


async def read(
    session: Session, request: Request, *, chunks: int | None = None, beyond: bool = False
) -> Heard:
    """Read a stream to its finish, or so many chunks of it, as the core does, and close it.

    ``beyond``: read on after the finish, to see whether something follows.
    """
    heard = Heard()
    async with aclosing(session.generate(request)) as stream:
        async for chunk in stream:
            heard.chunks.append(chunk)
            if (chunk.finish is not None and not beyond) or len(heard.chunks) == chunks:
                break
    heard.check()
    if chunks is None:
        assert heard.finish is not None, "the stream ended without saying why"
    return heard


async def usage_grows(session: Session, *requests: Request) -> None:
    """Read so many streams: what the session counts, if it does, never falls and holds what was read."""
    read_tokens = 0
    before = session.usage()
    for request in requests:
        heard = await read(session, request)
        read_tokens += heard.tokens if heard.exact else 0
        now = session.usage()
        assert (now is None) == (before is None), "usage() counts at times"
        if now is None or before is None:
            continue
        new = now - before
        assert min(new.prompt, new.cached, new.generated, new.requests) >= 0, f"{before} → {now}"
        assert new.cached <= new.prompt
        assert now.generated >= read_tokens
        assert new.generated or not heard.text, "usage() counts no generated tokens, by which budgets go"
        before = now


async def still(backend: Backend, patience: float) -> None:
    """Wait until the engine works on nothing, if it says; it may take a moment to notice."""
    waited, wait = 0.0, 0.01
    while left := await backend.active():
        assert waited < patience, f"{left} generations still run on the engine: closing must abort them"
        await asyncio.sleep(wait)
        waited, wait = waited + wait, 2 * wait


async def heard_or_refused(
    session: Session, request: Request, errors: tuple[type[TessyError], ...] = (BackendError,)
) -> None:
    """A whole stream, or an error of the right kind that says something."""
    try:
        await read(session, request)
    except errors as error:
        said = str(error)
    else:
        return
    assert said, "it refuses without a word"


async def endless(session: Session, request: Request, chunks: int, reading: asyncio.Event) -> None:
    """Read so many chunks, tell, and hold the stream until cancelled; with none, cancelled while it opens."""
    async with aclosing(session.generate(request)) as stream:
        if not chunks:
            reading.set()
        async for _ in stream:
            if chunks:
                reading.set()
                await asyncio.Event().wait()
        await asyncio.Event().wait()


def check_logprobs(logprobs: Sequence[TokenLogprob], most: int, *, ranks: bool) -> None:
    """Log-probabilities of tokens with their ``most`` best alternatives."""
    for one in logprobs:
        assert one.logprob <= 1e-6, f"no logarithm of a probability: {one}"
        assert len(one.top) <= most, f"more than {most} alternatives: {one}"
        values = [value for _, value in one.top]
        assert values == sorted(values, reverse=True), f"alternatives are not best first: {one}"
        assert not ranks or (one.rank is not None and one.rank >= 1), f"it claims ranks: {one}"


def check_scores(scores: Scores, text: str) -> None:
    """Scores of a text, asked for with two alternatives a token."""
    assert len(scores.offsets) == len(scores.logprobs) > 0
    assert scores.offsets[0] == 0, "the first token begins the text"
    assert list(scores.offsets) == sorted(scores.offsets)
    assert all(0 <= at < len(text) for at in scores.offsets)
    check_logprobs(scores.logprobs, 2, ranks=False)
