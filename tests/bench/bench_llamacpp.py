"""How close the llama.cpp backend comes to a bare decode-and-sample loop, and what a run decodes.

``python tests/bench/bench_llamacpp.py [--model FILE.gguf] [--json]``. All figures are ratios or counts
within this one run; rounds of both sides alternate, and medians are taken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import llama_cpp as lib

from tessy.boundary import Origin
from tessy.crew import Crew
from tessy.detection import Detection
from tessy.detectors.lexicon import LexiconDetector, LexiconOptions
from tessy.execution import execute
from tessy.observer import Observer
from tessy.plan import Plan
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy.types import Prompt, Request, Span, Turn
from tessy_llamacpp.backend import LlamaCppBackend
from tessy_llamacpp.batch import Batch
from tessy_llamacpp.options import LlamaCppOptions
from tessy_llamacpp.sampling import Sampler

MINIATURE = Path(__file__).parents[2] / "examples" / "miniature"
STREAMS = 32
TOKENS = 192
ROUNDS = 7


async def backend_round(backend: LlamaCppBackend) -> tuple[float, float]:
    """Tokens a second through sessions and readers, and tokens per decode call."""
    before = (backend.steps.calls, backend.steps.tokens)
    sessions = [backend.session(Prompt.user(f"What is {i} + {i + 1}?"), str(i)) for i in range(STREAMS)]

    async def read(i: int) -> int:
        count = 0
        async with aclosing(sessions[i].generate(Request(Turn("m", "answer", TOKENS), (), i))) as stream:
            async for chunk in stream:
                count += chunk.tokens
        return count

    started = time.perf_counter()
    counts = await asyncio.gather(*map(read, range(STREAMS)))
    elapsed = time.perf_counter() - started
    assert sum(counts) == STREAMS * TOKENS, "every stream must run to its limit"
    for session in sessions:
        await session.close()
    await asyncio.sleep(0.05)  # the engine's thread clears their sequences; then it is idle
    calls, tokens = backend.steps.calls - before[0], backend.steps.tokens - before[1]
    return sum(counts) / elapsed, tokens / calls


def bare_round(backend: LlamaCppBackend) -> float:
    """Tokens a second of a loop that only decodes and samples, with the backend's own context."""
    loaded = backend.loaded
    memory = lib.llama_get_memory(loaded.context)
    batch = Batch(backend.options.batch)
    samplers = [Sampler(loaded.sampling, loaded.model.n_vocab, i, 0, []) for i in range(STREAMS)]
    started = time.perf_counter()
    length, last = 0, [0] * STREAMS
    prompts = [
        loaded.model.encode(f"What is {i} + {i + 1}? Let us see what that is.")[:16] for i in range(STREAMS)
    ]
    size = min(map(len, prompts))
    ends = []
    batch.clear()
    for i, ids in enumerate(prompts):
        ends.append(batch.add(ids[:size], 0, i, wanted=1) + size - 1)
    assert batch.decode(loaded.context) == 0
    last = [samplers[i].draw(loaded.context, ends[i]) for i in range(STREAMS)]
    length = size
    for _ in range(TOKENS - 1):
        batch.clear()
        for i in range(STREAMS):
            batch.add([last[i]], length, i, wanted=1)
        assert batch.decode(loaded.context) == 0
        last = [samplers[i].draw(loaded.context, i) for i in range(STREAMS)]
        length += 1
    elapsed = time.perf_counter() - started
    for i in range(STREAMS):
        samplers[i].close()
        lib.llama_memory_seq_rm(memory, i, -1, -1)
    return STREAMS * TOKENS / elapsed


async def against_bare(model: str, ahead: int) -> dict[str, Any]:
    """The backend and the bare loop in turn, on one loaded model."""
    backend = LlamaCppBackend(model, LlamaCppOptions(n_ctx=512, parallel=STREAMS, ahead=ahead))
    await backend.start()
    try:
        # Streams of equal length: nothing ends one but its limit.
        backend.loaded.model._ends.clear()
        backend._loaded = replace(backend.loaded, format=replace(backend.loaded.format, turn_ends=()))
        await backend_round(backend)
        bare_round(backend)
        ours, bare, batches = [], [], []
        for _ in range(ROUNDS):
            speed, batch = await backend_round(backend)
            ours.append(speed)
            batches.append(batch)
            bare.append(bare_round(backend))
    finally:
        await backend.close()
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    return {
        "model": Path(model).name,
        "ahead": ahead,
        "tokens/s": round(statistics.median(ours)),
        "bare loop tokens/s": round(statistics.median(bare)),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "tokens per decode": round(statistics.median(batches), 1),
    }


class Watcher(Observer):
    """Counts what the other wrote, and reads the engines' counters while they run."""

    def __init__(self, backends: dict[str, LlamaCppBackend]) -> None:
        self.backends = backends
        self.foreign = dict.fromkeys(backends, 0)
        self.steps: dict[str, tuple[int, int]] = {}

    def committed(self, row: str, span: Span) -> None:
        for role, backend in self.backends.items():
            if role != span.author:
                self.foreign[role] += backend.count_tokens(span.text)
            self.steps[role] = (backend.steps.calls, backend.steps.tokens)


async def whole_run(rows: int, ahead: int) -> dict[str, Any]:
    """The miniature pair under policy ``tessy``, 32 trajectories at once."""
    backends = {
        role: LlamaCppBackend(
            str(MINIATURE / "models" / f"{role}.gguf"), LlamaCppOptions(n_ctx=1024, parallel=32, ahead=ahead)
        )
        for role in ("teacher", "student")
    }
    crew = Crew(
        TessyPolicy(TessyOptions()),
        Origin("policy", "tessy"),
        backends,
        {role: Origin("backend", "llamacpp") for role in backends},
        Detection(LexiconDetector(LexiconOptions()), Origin("style detector", "lexicon")),
    )
    watcher = Watcher(backends)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        started = time.perf_counter()
        plan = Plan(str(MINIATURE / "prompts.jsonl"), path, crew, "tessy", {}, limit=rows, concurrency=32)
        outcome = await execute(plan, watcher)
        elapsed = time.perf_counter() - started
        db = sqlite3.connect(path / "journal.sqlite")
        result: dict[str, Any] = {
            "ahead": ahead,
            "rows": outcome.done,
            "rows/s": round(outcome.done / elapsed, 1),
        }
        for role in backends:
            decoded, discarded, generated = db.execute(
                "SELECT sum(prompt - cached), sum(discarded), sum(generated) FROM usage WHERE role = ?",
                (role,),
            ).fetchone()
            # The first request of a trajectory presents its prompt and what the other wrote by then.
            (first,) = db.execute(
                "SELECT sum(prompt) FROM usage u WHERE role = ? AND rowid = "
                "(SELECT min(rowid) FROM usage v WHERE v.row = u.row AND v.role = u.role)",
                (role,),
            ).fetchone()
            before = db.execute(
                "SELECT text FROM spans s WHERE author <> ? AND turn < "
                "(SELECT min(turn) FROM usage u WHERE u.row = s.row AND u.role = ?)",
                (role, role),
            ).fetchall()
            result[role] = {
                "discarded": round(discarded / generated, 3),
                "decoded as prompt": decoded,
                "needed": 0,
                "_first": first,
                "_before": [text for (text,) in before],
            }
        db.close()
    # Token counts of what came before the first request are in both terms: take them out of one.
    for role in backends:
        entry = result[role]
        again = await _count(role, entry.pop("_before"))
        entry["needed"] = entry.pop("_first") - again + watcher.foreign[role]
        entry["ratio"] = round(entry["decoded as prompt"] / entry["needed"], 3)
        calls, tokens = watcher.steps[role]
        entry["tokens per decode"] = round(tokens / calls, 1)
    calls, tokens = (sum(column) for column in zip(*watcher.steps.values(), strict=True))
    result["tokens per decode, both"] = round(tokens / calls, 1)
    return result


async def _count(role: str, texts: list[str]) -> int:
    backend = LlamaCppBackend(str(MINIATURE / "models" / f"{role}.gguf"), LlamaCppOptions(parallel=1))
    await backend.start()
    try:
        return sum(map(backend.count_tokens, texts))
    finally:
        await backend.close()


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", action="append", help="also this GGUF file")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--ahead", type=int, nargs="*", default=[LlamaCppOptions().ahead])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    models = [str(MINIATURE / "models" / f"{role}.gguf") for role in ("teacher", "student")]
    bare = [
        await against_bare(model, ahead) for model in [*models, *(given.model or [])] for ahead in given.ahead
    ]
    runs = [await whole_run(given.rows, ahead) for ahead in given.ahead]
    if given.json:
        print(json.dumps({"bare": bare, "runs": runs}, indent=2))
        return
    print(f"{STREAMS} streams of {TOKENS} tokens, {ROUNDS} rounds, medians")
    for entry in bare:
        print("  ", json.dumps(entry))
    print(f"the miniature pair, policy tessy, 32 trajectories, {given.rows} rows, tokens ahead of the reader")
    for entry in runs:
        print("  ", json.dumps(entry))


if __name__ == "__main__":
    asyncio.run(main())
