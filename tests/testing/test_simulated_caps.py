"""What limits of the core's own save at a service that stops late, by the server's own count."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from itertools import pairwise
from math import inf, isinf
from pathlib import Path
from typing import Any

import pytest

from cli.shell import tessy
from helpers import check_row, rows, write_prompts
from tessy.testing.simulated import Account, Record, account, simulated_servers

PAIR = ("teacher", "student")
QUICK = {"thinking": 150, "answer": 9, "token": 0.004, "first": 0.006, "context": 4096}


def written(urls: Mapping[str, str], folder: Path, backend: str, limit: str, count: int = 3) -> Account:
    """What the servers had to write for a run, once nothing of it lingers."""
    folder.mkdir()
    prompts = write_prompts(folder / "prompts.jsonl", count)
    flags: list[Any] = ["--detector", "lexicon"]
    for role, url in urls.items():
        # Asked ahead, it would be a matter of moments how many requests a server reads.
        root = f"{url}/v1" if backend == "openai" else url
        flags += [f"--{role}", f"{backend}:{role}@{root}?limit={limit}&ask_ahead=off"]
    tessy("run", prompts, "-o", folder / "run", *flags)
    found: list[Record] = []
    for url in urls.values():
        with urllib.request.urlopen(f"{url}/log") as answer:
            found += [Record.read(line) for line in answer]
    total = Account()
    for one in account(found).values():
        for name in ("requests", "kept", "marks", "discarded"):
            setattr(total, name, getattr(total, name) + getattr(one, name))
    return total


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("backend", "linger"), [("vllm", 0.2), ("openai", inf)])
def test_limits_of_its_own_discard_less(tmp_path: Path, backend: str, linger: float, seed: int) -> None:
    accounts, data = {}, {}
    for limit in ("none", "adaptive"):
        with simulated_servers(PAIR, seed=seed, linger=linger, **QUICK) as urls:
            accounts[limit] = written(urls, tmp_path / limit, backend, limit)
        data[limit] = rows(tmp_path / limit / "run")
    free, capped = accounts["none"], accounts["adaptive"]
    for row in data["adaptive"]:
        check_row(row)
    # The same text by the same authors, in more requests.
    assert [row["messages"] for row in data["adaptive"]] == [row["messages"] for row in data["none"]]
    assert [r["tessy"]["spans"] for r in data["adaptive"]] == [r["tessy"]["spans"] for r in data["none"]]
    assert all(a["author"] != b["author"] for r in data["adaptive"] for a, b in pairwise(thinking(r)))
    assert capped.kept == free.kept
    assert capped.discarded < free.discarded / (2 if isinf(linger) else 1)
    assert free.requests < capped.requests < 1.35 * free.requests


def thinking(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [span for span in row["tessy"]["spans"] if span["phase"] == "think"]
