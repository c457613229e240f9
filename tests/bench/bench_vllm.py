"""Backend ``vllm`` in process, beside a plain script that feeds the same engines the same spans.

``python tests/bench/bench_vllm.py [--json] [--rounds N]``, in the environment that ``make test-vllm`` makes.
One process, two engines (the miniature pair), the loop that ``tessy run`` uses. What our side asks of them is
recorded, and a script asks it again: the same prompts in token ids, in the same order, as many traces at
once. It does nothing else: no sessions, no text. Rounds alternate, prefix caches are emptied before each.

Twice: the backends' sessions alone, driven by a script of spans (`alternation`), and whole runs with policy
``tessy``, detector ``lexicon`` and the journal on disk. And against two scripts: one asks for just the tokens
that reached us, so what an engine wrote between the last of them and our abort is ours alone; the other asks
for as many as we did and aborts where we did.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from alternation import Trace, at_once, script, write

from tessy.boundary import Origin
from tessy.crew import Crew
from tessy.detection import Detection
from tessy.detectors.lexicon import LexiconDetector, LexiconOptions
from tessy.execution import execute
from tessy.loops import loop_factory
from tessy.observer import Observer
from tessy.plan import Plan
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy_vllm.backend import VllmBackend
from tessy_vllm.engine import EngineInfo, Job, Step
from tessy_vllm.local import LocalEngine
from tessy_vllm.options import VllmOptions

MINIATURE = Path(__file__).parents[2] / "examples" / "miniature"
ROLES = ("teacher", "student")
AT_ONCE = 32
ROUNDS = 5
ENGINE = {"enforce_eager": "true", "dtype": "float32", "block_size": "32", "max_model_len": "2048"}
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")


@dataclass
class Call:
    """A request as the engine saw it, and how many of its tokens arrived."""

    role: str
    job: Job
    tokens: int = 0


class Recorder(LocalEngine):
    """An engine that outlives its backend's runs, and notes down what it is asked.

    Without a layer of its own around the streams: what it takes would count as ours.
    """

    def __init__(self, role: str, options: VllmOptions) -> None:
        super().__init__(str(MINIATURE / "models" / role), options)
        self.role = role
        self.fixed = False
        self.calls: dict[str, list[Call]] = {}
        self._info: EngineInfo | None = None
        self._open: dict[str, Call] = {}
        self._asked = 0

    async def start(self) -> EngineInfo:
        if self._info is None:
            self._info = await super().start()
        return self._info

    async def close(self) -> None:
        """Not yet: see `end`."""

    async def end(self) -> None:
        await super().close()

    def _parameters(self, job: Job) -> Any:
        """Asked for once a request, right before it is made."""
        params = super()._parameters(job)
        params.ignore_eos = self.fixed
        call = Call(self.role, job)
        # A run's sessions are called TRAJECTORY/ROLE: both models' requests are one chain.
        self.calls[job.key.rpartition("/")[0] or job.key].append(call)
        self._open[f"{job.key}/{self._asked}"] = call
        self._asked += 1
        return params

    def _step(self, output: Any, top: int) -> Step:
        step = super()._step(output, top)
        self._open[output.request_id].tokens += len(step.tokens)
        return step

    @property
    def llm(self) -> Any:
        return self._started()


class Unended(VllmBackend):
    """With a format that nothing ends: every span has the length it is asked for."""

    async def start(self) -> None:
        await super().start()
        files = self.running.info.files
        files.codec._ends = frozenset()
        format = replace(self.running.format, turn_ends=())
        self._running = replace(self.running, format=format)


def backends(engines: Mapping[str, Recorder], kind: type[VllmBackend]) -> dict[str, VllmBackend]:
    """Fresh backends on the engines there are."""
    made = {}
    for role, engine in engines.items():
        made[role] = kind(str(MINIATURE / "models" / role), VllmOptions(**ENGINE))
        made[role]._engine = engine
        engine.fixed = kind is Unended
    return made


async def sessions_alone(engines: Mapping[str, Recorder], seed: int) -> None:
    """The scripted alternation through sessions."""
    made = backends(engines, Unended)
    for backend in made.values():
        await backend.start()
    await at_once(script(AT_ONCE, 12, seed), AT_ONCE, lambda trace, _: write(made, trace))


async def whole_run(engines: Mapping[str, Recorder], seed: int) -> None:
    """A run as ``tessy run`` makes it."""
    made = backends(engines, VllmBackend)
    crew = Crew(
        TessyPolicy(TessyOptions()),
        Origin("policy", "tessy"),
        made,
        {role: Origin("backend", "vllm") for role in made},
        Detection(LexiconDetector(LexiconOptions()), Origin("style detector", "lexicon")),
    )
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            str(MINIATURE / "prompts.jsonl"), Path(folder), crew, "tessy", {}, limit=64, seed=seed,
            concurrency=AT_ONCE,
        )  # fmt: skip
        outcome = await execute(plan, Observer())
        assert outcome.done == 64, outcome


@dataclass
class Ask:
    """A request of the script's."""

    llm: Any
    prompt: list[int]
    params: Any
    tokens: int


def script_of(
    engines: Mapping[str, Recorder], calls: Mapping[str, list[Call]], *, aborts: bool
) -> dict[str, list[Ask]]:
    """What was asked and answered, to be asked again, by trajectory; made before the clock starts."""
    asks: dict[str, list[Ask]] = {}
    for key, chain in calls.items():
        asks[key] = []
        for call in chain:
            if not call.tokens:
                continue
            engine = engines[call.role]
            params = LocalEngine._parameters(engine, call.job)
            params.ignore_eos, params.stop_token_ids = True, []
            if not aborts:
                params.max_tokens = call.tokens
            asks[key].append(Ask(engine.llm, list(call.job.prompt), params, call.tokens))
    return asks


async def plain(asks: Mapping[str, list[Ask]]) -> None:
    """The same again, and nothing but that."""
    from vllm.inputs import tokens_input

    numbers = count()

    async def one(trace: Trace, _: int) -> None:
        for ask in asks[trace.key]:
            came = 0
            stream = ask.llm.generate(tokens_input(ask.prompt), ask.params, f"plain/{next(numbers)}")
            async with aclosing(stream) as outputs:
                async for output in outputs:
                    came += len(output.outputs[0].token_ids)
                    if came >= ask.tokens:
                        break

    await at_once([Trace(key, "", ()) for key in asks], AT_ONCE, one)


async def compare(
    engines: Mapping[str, Recorder],
    ours: Callable[[Mapping[str, Recorder], int], Awaitable[None]],
    rounds: int,
) -> dict[str, Any]:
    """All in turn, after a round that does not count."""
    speeds: dict[str, list[float]] = {"ours": [], "plain": [], "aborts": []}
    requests = 0
    for seed in range(rounds + 1):
        calls: dict[str, list[Call]] = defaultdict(list)
        for engine in engines.values():
            engine.calls = calls
        mine = await _timed(engines, ours(engines, seed))
        tokens = sum(call.tokens for chain in calls.values() for call in chain)
        requests = sum(map(len, calls.values()))
        theirs = await _timed(engines, plain(script_of(engines, calls, aborts=False)))
        abort = await _timed(engines, plain(script_of(engines, calls, aborts=True)))
        if seed:
            for name, seconds in (("ours", mine), ("plain", theirs), ("aborts", abort)):
                speeds[name].append(tokens / seconds)
    found: dict[str, Any] = {
        "tokens/s": round(statistics.median(speeds["ours"])),
        "tokens a request": round(tokens / requests, 1),
    }
    for name, what in (("plain", "script that asks for just these"), ("aborts", "script that aborts")):
        ratios = [a / b for a, b in zip(speeds["ours"], speeds[name], strict=True)]
        found[what] = {
            "tokens/s": round(statistics.median(speeds[name])),
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(ratio, 2) for ratio in ratios],
        }
    return found


async def _timed(engines: Mapping[str, Recorder], work: Awaitable[object]) -> float:
    for engine in engines.values():
        await engine.llm.reset_prefix_cache()
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    engines = {role: Recorder(role, VllmOptions(**ENGINE)) for role in ROLES}
    try:
        await asyncio.gather(*(engine.start() for engine in engines.values()))
        result = {}
        for name, ours in (("sessions alone", sessions_alone), ("whole runs", whole_run)):
            result[name] = await compare(engines, ours, given.rounds)
            if not given.json:
                print(f"{name}:", json.dumps(result[name]), flush=True)
    finally:
        await asyncio.gather(*(engine.end() for engine in engines.values()))
    if given.json:
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main())
