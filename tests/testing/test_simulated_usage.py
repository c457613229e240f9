"""What aborted streams cost, as our books have it and as the server has it."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.request
from contextlib import closing
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
        ("vllm", "?ask_ahead=off", 0.03, 0),
        ("openai", "", 0.03, 2),
        ("openai", "?continuation=text&template=chatml-think", 0.2, 0),
    ],
)
def test_streams_that_are_cut_are_in_the_books(
    tmp_path: Path, backend: str, options: str, near: float, probes: int
) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", 3)
    server: dict[str, float] = dict.fromkeys(("prompt", "cached", "generated", "requests", "aborted"), 0)
    with simulated_servers(PAIR, **QUICK) as urls:
        flags: list[Any] = ["--detector", "lexicon", "--json"]
        for role, url in urls.items():
            root = f"{url}/v1" if backend == "openai" else url
            flags += [f"--{role}", f"{backend}:{role}@{root}{options}"]
        figures = json.loads(tessy("run", prompts, "-o", tmp_path / "run", *flags).stdout)
        for url in urls.values():
            found = figures_of(url)
            for name in server:
                server[name] += found[name]
    ours = {name: sum(row[name] for row in figures["usage"]) for name in (*list(server)[:4], "estimated")}
    assert server["aborted"] > 20
    turns, unheard = booked(tmp_path / "run")
    # The probes of the start, where nobody says how to continue, are the server's alone. What is asked ahead
    # and taken back before its first token may be ours alone: whether the server has read it is a matter of
    # moments, and nobody can tell, so the books have it. All others were read, each once, at any pace.
    heard = ours["requests"] - unheard["requests"]
    assert turns <= heard <= server["requests"] - probes <= ours["requests"]
    if "ask_ahead=off" in options:
        assert heard == ours["requests"]
    assert 0 < ours["estimated"] <= ours["requests"]
    for name, most in (("prompt", min(near, 0.05)), ("cached", near)):
        assert (1 - most) * server[name] <= ours[name], name
        assert ours[name] - unheard[name] <= (1 + most) * server[name], name
    per = figures["per_thousand_kept"]
    kept = sum(row["kept"] for row in figures["usage"])
    assert per["requests"] == pytest.approx(1000 * ours["requests"] / kept, abs=0.01)
    assert per["discarded"] > 0


def figures_of(url: str) -> dict[str, Any]:
    """A server's own figures, once it has heard of the end of all streams."""
    until = time.monotonic() + 60
    while True:
        with urllib.request.urlopen(f"{url}/figures") as answer:
            found: dict[str, Any] = json.loads(answer.read())
        if not found["running"] + found["waiting"]:
            return found
        assert time.monotonic() < until, found
        time.sleep(0.02)  # it hears of a closed connection when it does


def booked(run: Path) -> tuple[int, dict[str, int]]:
    """How many turns a run has, and what is booked for requests that never got a token."""
    with closing(sqlite3.connect(run / "journal.sqlite")) as journal:
        (turns,) = journal.execute("SELECT count(*) FROM turns").fetchone()
        names = ("requests", "prompt", "cached")
        sums = ", ".join(f"total({name})" for name in names)
        found = journal.execute(f"SELECT {sums} FROM usage WHERE generated = 0").fetchone()
    return turns, dict(zip(names, map(int, found), strict=True))
