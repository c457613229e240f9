"""CPU of the client for each token it keeps, beside a bare reader that sends the same requests.

``python bench_client.py [--backend vllm|openai] [--lengths N …] [--tokens N]``. Both run in processes of
their own against the same simulated servers, one after the other. The bare reader sends our run's request
bodies, trajectory by trajectory and as many at once, counts tokens and closes each stream where ours was.
Detector, journal, seams and rows are ours alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import aiohttp
import orjson

from tessy.testing.simulated import simulated_servers

PAIR = ("teacher", "student")
MODEL = {"token": 0.01, "batch": 4096, "spread": 0.05, "answer": 20, "context": 131_072}


def ours(command: Sequence[str]) -> float:
    """CPU seconds of a run, from its first row on: what starting takes is no matter of tokens."""
    from tessy.cli import main
    from tessy.rowwriter import RowWriter

    began: list[float] = []
    write = RowWriter.write

    async def first(self: Any, *given: Any, **named: Any) -> Any:
        began.append(time.process_time())
        RowWriter.write = write  # type: ignore[method-assign]
        return await write(self, *given, **named)

    with patch.object(sys, "argv", ["tessy", *command]), patch.object(RowWriter, "write", first):
        try:
            main()
        except SystemExit as error:
            if error.code:
                raise
    return time.process_time() - began[0]


def recorded(command: Sequence[str], file: Path) -> float:
    """The same with a note of every request in a file: its body, and how many events were received."""
    from tessy.rowwriter import RowWriter

    # By trajectory: what is asked ahead is asked in a task of its own.
    place: ContextVar[object] = ContextVar("place")
    places: defaultdict[Any, list[tuple[str, Any, Any]]] = defaultdict(list)
    events: defaultdict[int, int] = defaultdict(int)
    plain, feed = aiohttp.ClientSession._request, aiohttp.StreamReader.feed_data

    async def request(self: Any, method: str, url: Any, **options: Any) -> Any:
        response = await plain(self, method, url, **options)
        if method.upper() == "POST" and str(url).endswith("completions"):
            body = options.get("json") or options.get("data")
            text = body if isinstance(body, str) else orjson.dumps(body) if isinstance(body, dict) else body
            text = text.decode() if isinstance(text, bytes) else text
            # What is tried while the backends start belongs to no place.
            if place.get(None) is not None and '"stream":true' in text.replace(" ", ""):
                # A place writes one trajectory after the other, each request after the one before.
                places[place.get()].append((str(url), text, response.content))
        return response

    def feed_data(self: Any, data: bytes, *rest: Any) -> Any:
        events[id(self)] += data.count(b"data: ")
        return feed(self, data, *rest)

    write = RowWriter.write

    async def placed(self: Any, n: int) -> None:
        place.set(asyncio.current_task())
        await write(self, n)

    with (
        patch.object(RowWriter, "write", placed),
        patch.object(aiohttp.ClientSession, "_request", request),
        patch.object(aiohttp.StreamReader, "feed_data", feed_data),
    ):
        cpu = ours(command)
    noted = [[(url, text, events[id(reader)]) for url, text, reader in one] for one in places.values()]
    file.write_text(json.dumps(noted))
    return cpu


async def bare(places: Sequence[Sequence[tuple[str, bytes, int]]]) -> float:
    """CPU seconds of a reader that does nothing but count."""

    async def place(http: aiohttp.ClientSession, requests: Sequence[tuple[str, bytes, int]]) -> None:
        headers = {"Content-Type": "application/json"}
        for url, body, wanted in requests:
            count = 0
            async with http.post(url, data=body, headers=headers) as response:
                async for data in response.content.iter_any():
                    count += data.count(b"data: ")
                    if count >= wanted:
                        break
                response.close()

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        read_bufsize=1 << 20,
    ) as http:
        began = time.process_time()
        await asyncio.gather(*(place(http, requests) for requests in places))
        return time.process_time() - began


def measure(
    backend: str, length: int, tokens: int, scale: float, slots: int, detector: str
) -> Mapping[str, float]:
    """Both, over about so many tokens in traces of one length."""
    rows = max(1, tokens // length)
    slots = min(rows, slots)
    options = {**MODEL, "thinking": length, "scale": scale}
    with simulated_servers(PAIR, **options) as urls, TemporaryDirectory() as name:
        folder = Path(name)
        prompts = folder / "prompts.jsonl"
        prompts.write_text("".join(json.dumps({"prompt": f"Question {i}?"}) + "\n" for i in range(rows)))
        root = "/v1" if backend == "openai" else ""
        command = ["run", str(prompts), "--detector", detector, "--concurrency", str(slots)]
        command += ["--max-length", str(10 * length)]
        for role, url in urls.items():
            command += [f"--{role}", f"{backend}:{role}@{url}{root}"]
        _child("record", folder / "noted.json", [*command, "-o", str(folder / "recorded")])
        cpu = _child("ours", Path("-"), [*command, "-o", str(folder / "measured")])
        with (folder / "measured" / "data.jsonl").open(encoding="utf-8") as lines:
            kept = sum(sum(json.loads(line)["tessy"]["tokens"].values()) for line in lines)
        reader = _child("bare", folder / "noted.json", [])
    return {
        "length": length,
        "rows": rows,
        "kept": kept,
        "ours": 1e6 * cpu / kept,
        "bare": 1e6 * reader / kept,
        "ratio": cpu / reader,
    }


def _child(what: str, file: Path, arguments: Sequence[str]) -> float:
    command = [sys.executable, __file__, "--child", what, str(file), *arguments]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"{what} ended with {made.returncode}: {made.stdout}{made.stderr}")
    return float(made.stdout.splitlines()[-1])


def child(what: str, file: str, *arguments: str) -> float:
    """What a process of its own does."""
    if what == "ours":
        return ours(arguments)
    if what == "record":
        return recorded(arguments, Path(file))
    places = [
        [(url, text.encode(), events) for url, text, events in one]
        for one in json.loads(Path(file).read_text(encoding="utf-8"))
    ]
    import uvloop

    return uvloop.run(bare(places))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", choices=["vllm", "openai"], nargs="+", default=["vllm", "openai"])
    parser.add_argument("--lengths", type=int, nargs="+", default=[1000, 10_000, 40_000])
    parser.add_argument("--tokens", type=int, default=40_000, help="about so many in all, for each length")
    parser.add_argument("--scale", type=float, default=1.0, help="the servers' seconds in a real one")
    parser.add_argument("--detector", default="lexicon")
    parser.add_argument("--slots", type=int, default=32, help="traces at once, at most")
    given = parser.parse_args()
    print("| backend | tokens a trace | traces | tessy, µs a token | bare reader | ratio |")
    print("|---|---:|---:|---:|---:|---:|")
    for backend in given.backend:
        for length in given.lengths:
            one = measure(backend, length, given.tokens, given.scale, given.slots, given.detector)
            print(
                f"| {backend} | {length:,} | {one['rows']} | {one['ours']:.0f} | {one['bare']:.0f} | "
                f"{one['ratio']:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(child(*sys.argv[2:]))
    else:
        main()
