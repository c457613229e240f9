"""Hundreds of trajectories for a long time: memory, tasks, files and sockets of the process must not grow.

``python tests/soak/steady.py [--minutes N] [--trajectories N]``. The process measures itself; memory
is compared between the second and the last quarter of the time, all else with what it was before.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from tessy.abc import Options
from tessy.boundary import Origin
from tessy.crew import Crew
from tessy.detection import Detection
from tessy.execution import execute
from tessy.observer import Observer
from tessy.plan import Plan
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy.testing import ScriptedDetector
from tessy.testing.simulated import simulated_servers
from tessy_vllm.backend import VllmBackend
from tessy_vllm.options import VllmOptions

ROLES = ("teacher", "student")
MODEL = {"thinking": 200, "answer": 60, "spread": 0.5, "token": 0.12, "first": 0.2, "batch": 1024}


@dataclass(frozen=True)
class Sample:
    """The process at one moment."""

    rss: int
    tasks: int
    files: int
    sockets: int


def sample() -> Sample:
    """As of now; needs a running loop and /proc."""
    files = sockets = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that lists them
            sockets += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
            files += 1
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(pages * os.sysconf("SC_PAGE_SIZE"), len(asyncio.all_tasks()), files, sockets)


@dataclass
class Found:
    """What was measured."""

    before: Sample
    after: Sample
    rows: int
    samples: list[Sample] = field(default_factory=list)

    def quarter(self, n: int) -> float:
        """Mean memory in a quarter of the time, from 0 on."""
        size = len(self.samples) // 4
        return mean(one.rss for one in self.samples[n * size : (n + 1) * size])

    @property
    def growth(self) -> float:
        """Of memory, from the second quarter to the last."""
        return self.quarter(3) / self.quarter(1) - 1

    @property
    def leaked(self) -> tuple[int, int, int]:
        """Tasks, files and sockets that are left when all is over."""
        a, b = self.before, self.after
        return b.tasks - a.tasks, b.files - a.files, b.sockets - a.sockets


async def steady(trajectories: int, seconds: float, folder: Path, *, every: float = 1.0) -> Found:
    """Write with so many trajectories at once for so long, then stop."""
    prompts = folder / "prompts.jsonl"
    # More than there is time for; the last ones would have no neighbours.
    count = int(trajectories * (4 + seconds / 10))
    prompts.write_text(
        "".join(json.dumps({"id": f"p{i}", "prompt": f"Question {i}?"}) + "\n" for i in range(count))
    )
    gc.collect()
    before = sample()
    samples: list[Sample] = []
    with simulated_servers(ROLES, **MODEL) as urls:
        crew = Crew(
            TessyPolicy(TessyOptions()),
            Origin("policy", "tessy"),
            {role: VllmBackend(role, VllmOptions(), url=url) for role, url in urls.items()},
            {role: Origin("backend", "vllm") for role in ROLES},
            Detection(ScriptedDetector(Options()), Origin("style detector", "words")),
        )
        plan = Plan(str(prompts), folder / "run", crew, "tessy", {}, concurrency=trajectories)
        running = asyncio.create_task(execute(plan, Observer()))
        until = time.monotonic() + seconds
        while time.monotonic() < until and not running.done():
            await asyncio.sleep(every)  # between samples
            samples.append(sample())
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    del crew, plan, running
    gc.collect()
    await asyncio.sleep(0.3)  # transports close in callbacks that nobody can wait for
    data = folder / "run" / "data.jsonl"
    return Found(before, sample(), len(data.read_text().splitlines()) if data.exists() else 0, samples)


def main() -> None:
    """Run, and say what has grown."""
    parser = argparse.ArgumentParser(description="a long run")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--trajectories", type=int, default=500)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = asyncio.run(steady(given.trajectories, given.minutes * 60, Path(folder)))
    most = max(found.samples, key=lambda one: one.sockets)
    print(
        f"{given.trajectories} trajectories, {given.minutes:g} minutes, {found.rows} rows: memory by quarter "
        f"{', '.join(f'{found.quarter(n) / 2**20:.0f}' for n in range(4))} MiB (the last against the second "
        f"{100 * found.growth:+.1f} %); at most {most.sockets} sockets, "
        f"{most.files} files, {most.tasks} tasks; "
        f"left over: {found.leaked[0]} tasks, {found.leaked[1]} files, {found.leaked[2]} sockets"
    )
    sys.exit(found.growth > 0.05 or any(left > 0 for left in found.leaked))


if __name__ == "__main__":
    main()
