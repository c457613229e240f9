"""Backend ``llamacpp`` beside llama-server, both writing the same alternation of two models.

``python tests/bench/bench_llama_server.py --llama-server PATH``; ``make llama-server`` builds one from
the source of the installed llama-cpp-python. Two servers, one a model, ``-np N --no-kv-unified
--no-cache-idle-slots``; their driver keeps each model's token ids itself, asks for every span in its own slot
with the prefix kept, and does nothing else. Ours are the backend's sessions in this process. Traces, span
lengths, sampling, context, batch and threads are the same. Rounds of both alternate; medians.

Two pairs: the miniature, and a model of noise with 114 million weights in both roles (needs ``pip install
gguf``; written to ``build/bench``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from alternation import Trace, at_once, script, write

from tessy.tokens import TokenLedger
from tessy.types import Prompt, Request, Turn
from tessy_llamacpp.backend import LlamaCppBackend
from tessy_llamacpp.options import LlamaCppOptions

ROOT = Path(__file__).parents[2]
MINIATURE = ROOT / "examples" / "miniature" / "models"
ROLES = ("teacher", "student")
N_CTX = 512
SAMPLING = {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.0}


class Server:
    """llama-server with one model, and a slot for each place."""

    def __init__(
        self, program: Path, model: Path, places: int, threads: int, *, stream: bool, unified: bool
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [
            str(program), "-m", str(model), "--host", "127.0.0.1", "--port", str(port), "-np", str(places),
            "-c", str(N_CTX * places), "-b", "512", "-ub", "512",
            "--kv-unified" if unified else "--no-kv-unified", "--no-cache-idle-slots",
            "-t", str(threads), "-tb", str(threads), "--log-disable",
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._url = f"http://127.0.0.1:{port}"
        self._stream = stream
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def ready(self) -> None:
        """Until it answers."""
        while True:
            if self._process.poll() is not None:
                raise SystemExit("llama-server has ended")
            try:
                async with self._http.get(f"{self._url}/health") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass  # it does not listen yet
            await asyncio.sleep(0.1)  # it has no way to tell when it does

    async def generate(self, ids: Sequence[int], length: int, slot: int, seed: int) -> tuple[list[int], str]:
        """So many tokens more, and their text."""
        body = {
            "prompt": ids, "n_predict": length, "id_slot": slot, "cache_prompt": True, "return_tokens": True,
            "ignore_eos": True, "seed": seed, "stream": self._stream, **SAMPLING,
            "samplers": ["top_k", "top_p", "temperature"],
        }  # fmt: skip
        while True:
            try:
                return await self._ask(body)
            except aiohttp.ClientConnectionError:
                continue  # it closes connections that were used a hundred times, sometimes under our hands

    async def _ask(self, body: Mapping[str, Any]) -> tuple[list[int], str]:
        tokens: list[int] = []
        text = []
        async with self._http.post(f"{self._url}/completion", data=orjson.dumps(body)) as answer:
            assert answer.status == 200, await answer.text()
            async for event in _events(answer, stream=self._stream):
                tokens += event["tokens"]
                text.append(event["content"])
        return tokens, "".join(text)

    async def close(self) -> None:
        await self._http.close()
        self._process.terminate()
        self._process.wait(20)


async def _events(answer: aiohttp.ClientResponse, *, stream: bool) -> AsyncIterator[dict[str, Any]]:
    if not stream:
        yield orjson.loads(await answer.read())
        return
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield orjson.loads(line[6:])


async def drive(
    servers: Mapping[str, Server], backends: Mapping[str, LlamaCppBackend], trace: Trace, place: int
) -> None:
    """One trace on the servers; ``backends`` give the vocabularies."""
    models = {role: backend.loaded.model for role, backend in backends.items()}
    ids = {role: _prompt(backends[role], trace.question) for role in models}
    for turn, (role, length) in enumerate(trace.spans):
        tokens, text = await servers[role].generate(ids[role], length, place, turn)
        for reader, model in models.items():
            ids[reader] += tokens if reader == role else model.encode(text)


def _prompt(backend: LlamaCppBackend, question: str) -> list[int]:
    loaded = backend.loaded
    ledger = TokenLedger(loaded.model, loaded.format, Prompt.user(question), "student")
    return list(ledger.sync(Request(Turn("student", "answer"), (), 0)))


@asynccontextmanager
async def started(
    models: Mapping[str, Path], places: int, threads: int
) -> AsyncIterator[dict[str, LlamaCppBackend]]:
    """Our backends, with a format that nothing ends."""
    made = {}
    async with AsyncExitStack() as stack:
        for role, model in models.items():
            options = LlamaCppOptions(n_ctx=N_CTX, parallel=places, threads=threads, **SAMPLING)
            backend = made[role] = LlamaCppBackend(str(model), options)
            await backend.start()
            stack.push_async_callback(backend.close)
            backend.loaded.model._ends.clear()
            backend._loaded = replace(backend.loaded, format=replace(backend.loaded.format, turn_ends=()))
        yield made


async def compare(
    program: Path,
    models: Mapping[str, Path],
    *,
    places: int,
    threads: int,
    traces: int,
    spans: int,
    rounds: int,
    stream: bool,
    unified: bool,
) -> dict[str, Any]:
    """Both in turn, after a round that does not count."""
    speeds: dict[str, list[float]] = {"ours": [], "server": []}
    async with started(models, places, threads) as backends, AsyncExitStack() as stack:
        servers = {
            role: Server(program, path, places, threads, stream=stream, unified=unified)
            for role, path in models.items()
        }
        for server in servers.values():
            stack.push_async_callback(server.close)
            await server.ready()
        for seed in range(rounds + 1):
            work = script(traces, spans if seed else 2, seed)
            tokens = sum(trace.tokens for trace in work)
            begun = time.perf_counter()
            await at_once(work, places, lambda trace, _: write(backends, trace))
            between = time.perf_counter()
            await at_once(work, places, lambda trace, place: drive(servers, backends, trace, place))
            ended = time.perf_counter()
            if seed:
                speeds["ours"].append(tokens / (between - begun))
                speeds["server"].append(tokens / (ended - between))
        steps = [backend.steps for backend in backends.values()]
    ratios = [a / b for a, b in zip(speeds["ours"], speeds["server"], strict=True)]
    return {
        "model": next(iter(models.values())).stem,
        "at once": places,
        "threads": threads,
        "server": "one pool" if unified else "a pool for each slot",
        "driver": "streams" if stream else "waits for whole spans",
        "tokens/s": round(statistics.median(speeds["ours"])),
        "llama-server tokens/s": round(statistics.median(speeds["server"])),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "tokens per decode": round(sum(s.tokens for s in steps) / sum(s.calls for s in steps), 1),
    }


def _pairs(kinds: Sequence[str]) -> Iterator[tuple[dict[str, Path], int, int, int]]:
    """Models by role; traces at once, in all, and spans a trace."""
    if "miniature" in kinds:
        yield {role: MINIATURE / f"{role}.gguf" for role in ROLES}, 32, 64, 12
    if "noise" in kinds:
        from random_gguf import random_gguf

        path = random_gguf(ROOT / "build" / "bench" / "noise-12x768.gguf", MINIATURE / "student.gguf")
        yield dict.fromkeys(ROLES, path), 16, 16, 4


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--llama-server", type=Path, default=os.environ.get("LLAMA_SERVER"))
    parser.add_argument("--pair", nargs="*", default=["miniature", "noise"])
    parser.add_argument("--threads", type=int, nargs="*", default=[1])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--whole", action="store_true", help="the servers' driver waits for whole spans")
    parser.add_argument("--unified", action="store_true", help="the servers have one KV pool for all slots")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.llama_server is None:
        parser.error("--llama-server PATH (or LLAMA_SERVER): `make llama-server` builds one")
    found = []
    for models, places, traces, spans in _pairs(given.pair):
        for threads in given.threads:
            entry = await compare(
                given.llama_server, models, places=places, threads=threads, traces=traces, spans=spans,
                rounds=given.rounds, stream=not given.whole, unified=given.unified,
            )  # fmt: skip
            found.append(entry)
            if not given.json:
                print(json.dumps(entry), flush=True)
    if given.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
