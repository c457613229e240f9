"""What aborted streams cost, as our books have it and as the server has it."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from cli.shell import tessy
from helpers import write_prompts
from tessy.testing.simulated import simulated_servers

PAIR = ("teacher", "student")
QUICK = {"thinking": 300, "answer": 30, "token": 0.003, "first": 0.005, "context": 4096}


@pytest.mark.parametrize(
    ("backend", "options", "near", "probes"),
    [
        ("vllm", "", 0.03, 0),
        ("openai", "", 0.03, 2),
        ("openai", "?continuation=text&template=chatml-think", 0.2, 2),
    ],
)
def test_streams_that_are_cut_are_in_the_books(
    tmp_path: Path, backend: str, options: str, near: float, probes: int
) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", 3)
    server: dict[str, float] = dict.fromkeys(("prompt", "cached", "generated", "requests", "aborted"), 0)
    longest = 0
    with simulated_servers(PAIR, **QUICK) as urls:
        flags: list[Any] = ["--detector", "lexicon", "--json"]
        for role, url in urls.items():
            root = f"{url}/v1" if backend == "openai" else url
            flags += [f"--{role}", f"{backend}:{role}@{root}{options}"]
        figures = json.loads(tessy("run", prompts, "-o", tmp_path / "run", *flags).stdout)
        for url in urls.values():
            with urllib.request.urlopen(f"{url}/figures") as answer:
                found = json.loads(answer.read())
            for name in server:
                server[name] += found[name]
            with urllib.request.urlopen(f"{url}/log") as answer:
                longest = max(longest, *(json.loads(line)["prompt"] for line in answer))
    ours = {name: sum(row[name] for row in figures["usage"]) for name in (*list(server)[:4], "estimated")}
    assert server["aborted"] > 20
    # The probes of the start are the server's alone. What is asked ahead and taken back at once may be ours
    # alone: a busy machine's server never reads it, and nobody can tell, so the books have it.
    unread = ours["requests"] + probes - server["requests"]
    assert 0 <= unread <= 0.1 * ours["requests"]
    assert 0 < ours["estimated"] <= ours["requests"]
    for name, most in (("prompt", min(near, 0.05)), ("cached", near)):
        assert (1 - most) * server[name] <= ours[name] <= (1 + most) * server[name] + unread * longest, name
    per = figures["per_thousand_kept"]
    kept = sum(row["kept"] for row in figures["usage"])
    assert per["requests"] == pytest.approx(1000 * ours["requests"] / kept, abs=0.01)
    assert per["discarded"] > 0
