"""Within a small KV memory: the same rows, with fewer tokens computed again, by the servers' own count."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.shell import tessy
from helpers import rows, write_prompts
from tessy.testing.simulated import Record, simulated_servers

PAIR = ("teacher", "student")
SMALL = {"thinking": 300, "answer": 9, "token": 0.002, "first": 0.003, "context": 4096, "cache_tokens": 1600}


def evicting(folder: Path, option: str) -> tuple[int, int, list[dict[str, Any]]]:
    """Tokens of prompts, those that had to be computed, and the rows."""
    folder.mkdir()
    prompts = write_prompts(folder / "prompts.jsonl", 14)
    flags: list[Any] = ["--detector", "lexicon", "--concurrency", "14"]
    with simulated_servers(PAIR, seed=5, **SMALL) as urls:
        for role, url in urls.items():
            flags += [f"--{role}", f"vllm:{role}@{url}{option}"]
        tessy("run", prompts, "-o", folder / "run", *flags)
        found = records(urls)
    return sum(r.prompt for r in found), sum(r.prompt - r.cached for r in found), rows(folder / "run")


def records(urls: Mapping[str, str]) -> list[Record]:
    found: list[Record] = []
    for url in urls.values():
        with urllib.request.urlopen(f"{url}/log") as answer:
            found += [Record.read(line) for line in answer]
    return found


def test_prefixes_are_not_evicted_in_mid_trace(tmp_path: Path) -> None:
    asked, computed, bounded = evicting(tmp_path / "auto", "?ask_ahead=off")
    same, again, free = evicting(tmp_path / "none", "?ask_ahead=off&kv_tokens=none")
    assert bounded == free
    assert 0.9 < asked / same < 1.1
    assert computed < again / 1.5
