"""A backend without a model: deterministic text from a script, for tests and dry runs of a set-up.

The text is a plan: runs of style words ("Hmm, wait, …") alternate with runs of capability words
("17 + 4 = 21"), in places that follow from the prompt alone. Asked to continue, each model writes the
plan's next words in its own hand, so who wrote what can be read off the text: the student's numbers are
odd, the teacher's even. Equal request and seed give equal text, also when a turn is resumed at a
checkpoint. One word is one token.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, islice
from math import inf, log
from typing import ClassVar, Literal
from zlib import crc32

from pydantic import Field

from tessy.abc import Backend, Capabilities, Options, Session
from tessy.seeds import block_seed, derive
from tessy.types import Chunk, Finish, Prompt, Request, Scores, TokenLogprob, Usage

__all__ = ["STYLE_WORDS", "Odds", "Script", "ScriptedBackend", "ScriptedOptions", "plan_script"]

Script = Callable[[Prompt, Request], tuple[str | Iterable[str], Finish]]
"""What to write next, to the turn's natural end, and how it ends; must depend on its arguments only.

A text is taken apart into words; an iterable gives the tokens one by one, as they are needed.
"""

Odds = Callable[[str, str], Mapping[str, float]]
"""The words that the model might write next, with their probabilities, and 0 for all that are not named.

Called with the phase's text so far and the word that stands next; the word of the end is ``""``.
"""

STYLE_WORDS = ("Hmm,", "wait,", "okay,", "so", "let", "me", "see.", "Alright,", "but", "maybe")


class ScriptedOptions(Options):
    """Options of backend ``scripted``; lengths in words."""

    think: int = Field(default=60, ge=0, description="words of thinking, about")
    answer: int = Field(default=8, ge=0, description="words of answer")
    style: int = Field(default=4, ge=1, description="longest run of style words")
    capability: int = Field(default=9, ge=1, description="longest run of capability words")
    delay: float = Field(default=0.0, ge=0, description="seconds a token takes")
    chunk: int = Field(default=1, ge=1, description="tokens that arrive at once")
    ends: Literal["thinking", "turn"] = Field(default="thinking", description="how the thinking ends")


class ScriptedBackend(Backend):
    """A deterministic backend.

    Args:
        model: any name; it seeds the plan.
        options: see `ScriptedOptions`.
        url: ignored.
        script: what to write, in place of the plan.
        odds: how sure it is of each word. With these it reports log-probabilities and can score, and its end
            is a token of its own, as with a real model.
    """

    Options: ClassVar[type[ScriptedOptions]] = ScriptedOptions
    options: ScriptedOptions

    def __init__(
        self,
        model: str = "script",
        options: ScriptedOptions | None = None,
        *,
        url: str | None = None,
        script: Script | None = None,
        odds: Odds | None = None,
    ) -> None:
        super().__init__(model, options or ScriptedOptions(), url=url)
        self.script: Script = script or plan_script(model, self.options)
        self.odds = odds
        self.running = 0
        """Streams open now: a test's check that all were closed."""
        self.sessions = 0
        """Sessions open now."""

    @property
    def capabilities(self) -> Capabilities:
        rates = self.odds is not None
        return Capabilities(
            top_logprobs=100 if rates else 0, ranks=rates, scoring=rates, seeds=True, vocabulary="words"
        )

    def session(self, prompt: Prompt, key: str) -> Session:
        return _ScriptedSession(self, prompt)

    def count_tokens(self, text: str) -> int:
        return len(text.split())


class _ScriptedSession(Session):
    def __init__(self, backend: ScriptedBackend, prompt: Prompt) -> None:
        self._backend = backend
        self._prompt = prompt
        self._usage = Usage()
        self._open = True
        backend.sessions += 1

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        options, odds, turn = self._backend.options, self._backend.odds, request.turn
        text, finish = self._backend.script(self._prompt, request)
        words: Iterable[str] = _words(text) if isinstance(text, str) else text
        if odds is not None and finish in ("end_of_thinking", "end_of_turn"):
            words = chain(words, [""])
        pieces = _pieces(words, turn.max_tokens, options.chunk)
        so_far = _so_far(request) if odds is not None else ""
        context = sum(span.tokens for span in request.spans)
        self._usage += Usage(prompt=context, requests=1)
        self._backend.running += 1
        try:
            for piece, last, cut_short in pieces:
                await asyncio.sleep(options.delay * max(1, len(piece)))
                self._usage += Usage(generated=len(piece))
                chunk = _chunk(piece, ("length" if cut_short else finish) if last else None)
                if odds is not None and turn.top_logprobs:
                    chunk = replace(chunk, logprobs=_logprobs(odds, so_far, piece, turn.top_logprobs))
                    so_far += chunk.text
                yield chunk
        finally:
            self._backend.running -= 1

    async def score(self, request: Request, text: str, *, top: int = 0) -> Scores:
        odds = self._backend.odds
        if odds is None:
            return await super().score(request, text, top=top)
        chunk = _chunk(_words(text), None)
        self._usage += Usage(prompt=sum(span.tokens for span in request.spans) + chunk.tokens, requests=1)
        return Scores(chunk.offsets or (), _logprobs(odds, _so_far(request), _words(text), top))

    def usage(self) -> Usage:
        return self._usage

    async def close(self) -> None:
        if self._open:
            self._open = False
            self._backend.sessions -= 1


def plan_script(model: str, options: ScriptedOptions) -> Script:
    """The script of the default plan."""

    def script(prompt: Prompt, request: Request) -> tuple[Iterable[str], Finish]:
        turn = request.turn
        content = "\n".join(message.content for message in prompt.messages)
        kinds = _plan(content, options.think, options.style, options.capability)
        so_far = request.thinking if turn.phase == "think" else request.answer
        begun = len(so_far.split())
        total = len(kinds) if turn.phase == "think" else options.answer
        gap = " " if so_far and not so_far[-1].isspace() else ""

        def words() -> Iterator[str]:
            for i in range(begun, total):
                # The token's own seed: that of its block of the turn, as a sampler would have it.
                seed = derive(block_seed(request.seed, request.done + i - begun), model, i)
                kind = kinds[i] if turn.phase == "think" else "answer"
                yield (gap if i == begun else " ") + _word(kind, turn.role, seed)

        ended: Finish = "end_of_thinking" if options.ends == "thinking" else "end_of_turn"
        return words(), "end_of_turn" if turn.phase == "answer" else ended

    return script


@lru_cache(maxsize=4096)
def _plan(content: str, think: int, style: int, capability: int) -> Sequence[str]:
    kinds: list[str] = []
    while len(kinds) < think:
        n = len(kinds)
        kinds += ["style"] * (1 + derive(content, n, "style") % style)
        kinds += ["capability"] * (1 + derive(content, n, "capability") % capability)
    return kinds


def _word(kind: str, role: str, seed: int) -> str:
    if kind == "style":
        return STYLE_WORDS[seed % len(STYLE_WORDS)]
    odd = 1 if role == "student" else 0
    return f"{kind[0]}{2 * (seed % 500) + odd}"


def _so_far(request: Request) -> str:
    return request.thinking if request.turn.phase == "think" else request.answer


def _logprobs(odds: Odds, so_far: str, words: Sequence[str], top: int) -> tuple[TokenLogprob, ...]:
    """What the odds say of each word, and the ``top`` likeliest in its place."""
    entries = []
    for word in words:
        there = odds(so_far, word)
        own = there.get(word, 0.0)
        best = sorted(there.items(), key=lambda entry: -entry[1])[:top]
        entries.append(
            TokenLogprob(
                _log(own), 1 + sum(p > own for p in there.values()), tuple((w, _log(p)) for w, p in best)
            )
        )
        so_far += word
    return tuple(entries)


def _log(p: float) -> float:
    return log(p) if p > 0 else -inf


def _words(text: str) -> list[str]:
    """Words with the white space before them; trailing white space goes with the last."""
    words: list[str] = []
    start = 0
    for i in range(1, len(text)):
        if text[i].isspace() and not text[i - 1].isspace():
            words.append(text[start:i])
            start = i
    rest = text[start:]
    if rest.strip() or not words:
        return [*words, rest] if rest else words
    words[-1] += rest
    return words


def _chunk(words: list[str], finish: Finish | None) -> Chunk:
    offsets, at = [], 0
    for word in words:
        offsets.append(at)
        at += len(word)
    ids = tuple(crc32(word.encode("utf-8", "surrogatepass")) & 0x7FFFFFFF for word in words)
    return Chunk("".join(words), len(words), ids, tuple(offsets), finish=finish)


def _pieces(words: Iterable[str], most: int | None, size: int) -> Iterator[tuple[list[str], bool, bool]]:
    """Chunks of words, whether each is the last, and whether the limit cut the text short.

    A model that has said all needs no further token to stop, so ending just at the limit is ending.
    """
    queue = iter(words)
    piece = list(islice(queue, size if most is None else min(size, most)))
    given = len(piece)
    while True:
        following = list(islice(queue, size))
        if most is not None and given + len(following) > most:
            following, short = following[: most - given], True
        else:
            short = False
        if not following:
            yield piece, True, short
            return
        yield piece, False, False
        given += len(following)
        piece = following
        if short:
            yield piece, True, True
            return
