"""Our run, as a user starts it: the command line in a process of its own, detector and journal on."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Run", "write"]


@dataclass(frozen=True, slots=True)
class Run:
    """What the rows say of a run, and the CPU seconds of its process."""

    rows: int
    spans: int
    switches: int
    kept: int
    cpu: float


def write(
    urls: Mapping[str, str], prompts: Sequence[str], slots: int, folder: Path, *, ahead: bool = True
) -> Run:
    """Write all. Raises `RuntimeError` if not every row was finished."""
    folder.mkdir()
    file = folder / "prompts.jsonl"
    file.write_text("".join(json.dumps({"id": f"p{i}", "prompt": p}) + "\n" for i, p in enumerate(prompts)))
    command = [sys.executable, "-m", "tessy", "run", str(file), "-o", str(folder / "run")]
    command += ["--detector", "words", "--concurrency", str(slots)]
    for role, url in urls.items():
        command += [f"--{role}", f"vllm:{role}@{url}?ask_ahead={'on' if ahead else 'off'}"]
    before = _cpu()
    made = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    cpu = _cpu() - before
    if made.returncode != 0:
        raise RuntimeError(f"tessy run ended with {made.returncode}: {made.stdout}{made.stderr}")
    with (folder / "run" / "data.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line)["tessy"] for line in lines]
    return Run(
        len(rows),
        sum(len(row["spans"]) for row in rows),
        sum(row["switches"] for row in rows),
        sum(sum(row["tokens"].values()) for row in rows),
        cpu,
    )


def _environment() -> dict[str, str]:
    """With the plugin package of a detector that is never wrong about simulated words."""
    paths = [str(Path(__file__).parents[1] / "words"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
