"""Backend ``llamacpp``: long prompts read in pieces between the tokens of others, by size of the batch.

``python tests/bench/bench_prefill.py [--model FILE.gguf] [--batch N …]``. Eight trajectories write; four
others with prompts of about a thousand tokens come one after the other meanwhile. Small batches read them in
small pieces: those who write wait less for each, and the prompts take longer. Without ``--model``: the
miniature student, and the model of noise with 114 million weights (needs ``pip install gguf``; written to
``build/bench``).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from tessy.types import Prompt, Request, Turn
from tessy_llamacpp.backend import LlamaCppBackend
from tessy_llamacpp.options import LlamaCppOptions

ROOT = Path(__file__).parents[2]
STUDENT = ROOT / "examples" / "miniature" / "models" / "student.gguf"
WRITERS, TOKENS = 8, 192
NEWCOMERS, LONG, SHORT = 4, 1000, 8
CONTEXT = 2048


@dataclass
class Round:
    """What one took: seconds in all, between two tokens of a writer, and to newcomers' first tokens."""

    seconds: float = 0.0
    gaps: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)


async def round_of(backend: LlamaCppBackend, number: int) -> Round:
    """One round; texts differ from round to round, so that no prompt is cached."""
    found, due = Round(), [asyncio.Event() for _ in range(NEWCOMERS)]
    sentence = f"{number} + 1 = {number + 1}. "
    long = sentence * (LONG // backend.count_tokens(sentence))

    async def read(name: str, text: str, most: int) -> list[float]:
        session, times = backend.session(Prompt.user(text), f"{number}/{name}"), []
        async with aclosing(session.generate(Request(Turn("m", "answer", most), (), number))) as stream:
            async for chunk in stream:
                times += [time.perf_counter()] * chunk.tokens
                # The first writer's progress says when the next newcomer comes.
                if name == "writer 0":
                    for event in [event for event, at in zip(due, comes, strict=True) if len(times) >= at]:
                        event.set()
        await session.close()
        return times

    async def writer(i: int) -> None:
        times = await read(f"writer {i}", f"What is {i} + {number}?", TOKENS)
        found.gaps += [after - before for before, after in pairwise(times)]

    async def newcomer(i: int) -> None:
        await due[i].wait()
        asked = time.perf_counter()
        times = await read(f"newcomer {i}", f"{i}: {long}", SHORT)
        found.firsts.append(times[0] - asked)

    comes = [TOKENS * (i + 1) // (NEWCOMERS + 2) for i in range(NEWCOMERS)]
    begun = time.perf_counter()
    await asyncio.gather(*map(writer, range(WRITERS)), *map(newcomer, range(NEWCOMERS)))
    found.seconds = time.perf_counter() - begun
    return found


async def measure(model: Path, batch: int, rounds: int) -> list[Round]:
    """So many rounds, after one that does not count."""
    options = LlamaCppOptions(n_ctx=CONTEXT, parallel=WRITERS + NEWCOMERS, batch=batch, threads=1)
    backend = LlamaCppBackend(str(model), options)
    await backend.start()
    try:
        # Nothing ends a stream but its limit.
        backend.loaded.model._ends.clear()
        backend._loaded = replace(backend.loaded, format=replace(backend.loaded.format, turn_ends=()))
        return [await round_of(backend, number) for number in range(rounds + 1)][1:]
    finally:
        await backend.close()


async def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, action="append")
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 32, 64, 128, 256, 512])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    models = given.model
    if models is None:
        from random_gguf import random_gguf

        models = [STUDENT, random_gguf(ROOT / "build" / "bench" / "noise-12x768.gguf", STUDENT)]
    print("| model | batch | seconds | between two tokens: half, 1 % and the longest | to a first token |")
    print("|---|---:|---:|---:|---:|")
    for model in models:
        for batch in given.batch:
            found = await measure(model, batch, given.rounds)
            gaps = sorted(gap for one in found for gap in one.gaps)
            half, late, last = (1000 * gaps[int(len(gaps) * share)] for share in (0.5, 0.99, 1 - 1e-9))
            print(
                f"| {model.stem} | {batch} | {statistics.median(one.seconds for one in found):.1f} | "
                f"{half:.0f}, {late:.0f} and {last:.0f} ms | "
                f"{statistics.median(first for one in found for first in one.firsts):.2f} s |",
                flush=True,
            )


if __name__ == "__main__":
    asyncio.run(main())
