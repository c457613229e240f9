"""Short trajectories through proxies that break a fifth of all requests, against a run that nothing befell.

``python tests/soak/faults.py [--rows N] [--rate R] [--seed N]``. Figures: rows lost, doubled, changed,
characters without an author, and the tokens that the servers wrote in excess of the run left alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))

from faultproxy import FaultProxy
from tessy.testing.simulated import simulated_servers

ROLES = ("teacher", "student")
MODEL = {"thinking": 80, "answer": 40, "spread": 0.3, "token": 0.02, "first": 0.03, "context": 8192}
OPTIONS = "first_token_timeout=3&token_timeout=3"
MARKS = ("<think>\n", "\n</think>\n\n", "")


@dataclass
class Found:
    """What the faults did."""

    rows: int = 0
    failed: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    unattributed: int = 0
    requests: int = 0
    drawn: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    alone: int = 0
    written: int = 0
    seconds: float = 0.0
    said: str = ""

    @property
    def extra(self) -> float:
        """Tokens in excess, as a share of those that the run needs that is left alone."""
        return self.written / max(1, self.alone) - 1

    @property
    def clean(self) -> bool:
        """Whether all rows are there, whole and once."""
        return not (self.failed or self.lost or self.doubled or self.changed or self.unattributed)

    def __str__(self) -> str:
        return (
            f"{self.rows} rows, {self.requests} requests, {self.drawn} with a fault, {self.struck.total()} "
            f"of them felt ({len(self.struck)} kinds), {self.seconds:.0f} s: {self.failed} failed, "
            f"{self.lost} lost, {self.doubled} doubled, {self.changed} changed, "
            f"{self.unattributed} characters without author; {100 * self.extra:.1f} % more tokens generated"
        )


async def suffer(rows: int, *, rate: float, seed: int, folder: Path, backend: str = "vllm") -> Found:
    """Write so many rows twice, alone and through the proxies."""
    found = Found(rows)
    prompts = folder / "prompts.jsonl"
    lines = [json.dumps({"id": f"p{i}", "prompt": f"Question {i}?"}) + "\n" for i in range(rows)]
    prompts.write_text("".join(lines))
    with simulated_servers(ROLES, **MODEL) as urls:
        async with AsyncExitStack() as stack:
            proxies = {
                role: await stack.enter_async_context(FaultProxy(url, seed=seed))
                for role, url in urls.items()
            }
            # Through the proxies too: they delay what is aborted, which has its price in tokens.
            through = {role: proxy.url for role, proxy in proxies.items()}
            await _run(prompts, folder / "alone", through, backend)
            found.alone = await _written(urls)
            for proxy in proxies.values():
                proxy.rate, proxy.requests = rate, 0
            began = time.monotonic()
            found.said = await _run(prompts, folder / "faults", through, backend)
            found.seconds = time.monotonic() - began
            found.written = await _written(urls) - found.alone
        for proxy in proxies.values():
            found.requests += proxy.requests
            found.drawn += proxy.drawn.total()
            found.struck += proxy.struck
    _compare(folder, found)
    return found


async def _run(prompts: Path, run: Path, urls: Mapping[str, str], backend: str) -> str:
    tail = "" if backend == "vllm" else "/v1"
    flags = [f"--{role}={backend}:{role}@{url}{tail}?{OPTIONS}" for role, url in urls.items()]
    command = [str(prompts), "-o", str(run), "--detector", "lexicon", "--concurrency", "64", *flags]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tessy", "run", *command,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    if process.returncode not in (0, 3):
        raise RuntimeError(f"exit code {process.returncode}: {said.decode()[-2000:]}")
    return said.decode()


async def _written(urls: Mapping[str, str]) -> int:
    """Tokens that the servers have generated so far, by their own count."""
    total = 0
    async with aiohttp.ClientSession() as client:
        for url in urls.values():
            async with client.get(f"{url}/figures") as answer:
                total += int((await answer.json())["generated"])
    return total


def _compare(folder: Path, found: Found) -> None:
    alone, data = (
        [json.loads(line) for line in (folder / name / "data.jsonl").read_text().splitlines()]
        for name in ("alone", "faults")
    )
    expected = {row["id"]: row for row in alone}
    counts = Counter(row["id"] for row in data)
    failures = folder / "faults" / "failures.jsonl"
    found.failed = len(failures.read_text().splitlines()) if failures.exists() else 0
    found.lost = sum(f"p{i}" not in counts for i in range(found.rows))
    found.doubled = sum(count - 1 for count in counts.values())
    found.changed = sum(_text(row) != _text(expected.get(row["id"], {})) for row in data)
    found.unattributed = sum(map(_unattributed, data))


def _text(row: Mapping[str, Any]) -> Any:
    return row and (row["messages"], row["tessy"]["spans"])


def _unattributed(row: Mapping[str, Any]) -> int:
    """Characters that belong to no span or to two, the format's marks apart."""
    content, at, wrong = row["messages"][-1]["content"], 0, 0
    for span in [*row["tessy"]["spans"], {"start": len(content), "end": len(content)}]:
        between = content[at : span["start"]]
        wrong += len(between) * (between not in MARKS) + max(0, at - span["start"])
        at = span["end"]
    return wrong


def main() -> None:
    """Break, and say what became of it."""
    parser = argparse.ArgumentParser(description="a faulty network")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", choices=["vllm", "openai"], default="vllm")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = asyncio.run(
            suffer(given.rows, rate=given.rate, seed=given.seed, folder=Path(folder), backend=given.backend)
        )
    print(f"{given.backend}: {found}")
    sys.exit(not (found.clean and found.extra <= 0.25))


if __name__ == "__main__":
    main()
