"""How fast: tokens a second alone and together, and what the prefix cache saves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from tessy.doctor.check import Check
from tessy.doctor.cost import Ask, Cost
from tessy.doctor.finding import Finding
from tessy.doctor.subject import Reading, Subject
from tessy.seeds import derive

__all__ = ["PrefixCache", "Throughput", "long_text"]

_TOKENS = 64
_PREFIX = 1500
_PREFIX_BOUND = 2400
"""The same where only a bound is known: some 1,300 tokens; services cache from 1,024 on."""
_THINGS = ("lamp", "harbour", "letter", "ladder", "garden", "bell", "window", "river", "coat", "bridge")
_STATES = ("red", "old", "silent", "broken", "tall", "empty", "warm", "hidden", "narrow", "bright")


class Throughput(Check):
    """Several generations at once."""

    def __init__(self, streams: int) -> None:
        self.streams = streams
        self.name: str = "speed" if streams == 1 else f"speed at {streams}"

    def cost(self, subject: Subject) -> Cost:
        return subject.cost(*self._asks())

    async def run(self, subject: Subject) -> Finding:
        begin = subject.clock()
        ended = await asyncio.gather(
            *(subject.ask(ask, f"{self.name}/{i}") for i, ask in enumerate(self._asks())),
            return_exceptions=True,
        )
        seconds = subject.clock() - begin
        readings = [one for one in ended if isinstance(one, Reading)]
        failures = [one for one in ended if isinstance(one, BaseException)]
        if not readings:
            raise failures[0]
        tokens = sum(one.tokens for one in readings)
        firsts = sorted(one.first for one in readings if one.first is not None)
        rate = tokens / seconds if seconds > 0 else None
        figures = {
            "streams": self.streams,
            "failed": len(failures),
            "tokens": tokens,
            "seconds": round(seconds, 4),
            "tokens_per_second": None if rate is None else round(rate, 1),
            "first_token_ms": round(1000 * firsts[len(firsts) // 2], 1) if firsts else None,
        }
        summary = f"{tokens:,} tokens in {seconds:.2f} s"
        summary += "" if rate is None else f", {rate:,.0f} a second"
        if failures:
            summary += f"; {len(failures)} of {self.streams} failed: {failures[0]}"
        if not tokens:
            return Finding(self.name, "unsure", "the model wrote nothing", figures=figures)
        return Finding(self.name, "bad" if failures else "ok", summary, figures=figures)

    def _asks(self) -> list[Ask]:
        return [
            Ask(f"Count the ships in harbour {n} and tell the story of each of them.", max_tokens=_TOKENS)
            for n in range(1, self.streams + 1)
        ]


class PrefixCache(Check):
    """The same long prompt twice in one session: the second time it should be there already."""

    name = "prefix cache"

    def cost(self, subject: Subject) -> Cost:
        ask = self._ask(subject)
        return subject.cost(ask, ask)

    async def run(self, subject: Subject) -> Finding:
        ask = self._ask(subject)
        async with subject.talk(ask, self.name) as talk:
            cold = await subject.read(talk, ask)
            before = talk.usage
            warm = await subject.read(talk, ask, seed=1)
            usage = talk.usage - before
            counts = talk.counts
        if cold.first is None or warm.first is None:
            return Finding(self.name, "unsure", "the model wrote nothing")
        ratio = cold.first / warm.first if warm.first > 0 else None
        figures = {
            "cold_ms": round(1000 * cold.first, 2),
            "warm_ms": round(1000 * warm.first, 2),
            "ratio": None if ratio is None else round(ratio, 2),
            "prompt_tokens": usage.prompt if counts else None,
            "cached_tokens": usage.cached if counts else None,
        }
        summary = f"first token after {1000 * cold.first:,.0f} ms cold, {1000 * warm.first:,.0f} ms warm"
        summary += "" if ratio is None else f" ({ratio:.1f} × as fast)"
        if counts and usage.prompt:
            summary += f"; {usage.cached:,} of {usage.prompt:,} prompt tokens reported as cached"
        works = usage.cached > usage.prompt // 2 if counts and usage.cached else (ratio or 0) >= 1.5
        return Finding(
            self.name, "ok" if works else "unsure", summary, "works" if works else "not seen", figures=figures
        )

    @staticmethod
    def _ask(subject: Subject) -> Ask:
        context = subject.capabilities.context
        wanted = _PREFIX if subject.counts_tokens else _PREFIX_BOUND
        wanted = wanted if context is None else min(wanted, context // 2)
        return Ask(f"{long_text(subject, wanted)} Which of these is the oldest?", max_tokens=4)


def long_text(subject: Subject, tokens: int) -> str:
    """Plain English of about as many tokens as wanted, never before seen by any cache."""
    sentences, left = [], tokens
    for sentence in _sentences(subject.nonce):
        left -= subject.count(sentence)
        if left < 0:
            break
        sentences.append(sentence)
    return " ".join(sentences)


def _sentences(nonce: str) -> Iterator[str]:
    # What differs comes first: a cache works from the beginning.
    yield f"Notes of {nonce}."
    n = 0
    while True:
        seed = derive("notes", nonce, n)
        state, thing, other = _STATES[seed % 10], _THINGS[seed // 10 % 10], _THINGS[seed // 100 % 10]
        n += 1
        yield f"Note {n}: the {state} {thing} stands by the {other}."
