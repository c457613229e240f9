"""Runs to export: a scripted pair's, written once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tessy
from tessy.rundata import Row, RunData

PAIR: Any = {"teacher": "scripted:t?think=60", "student": "scripted:s?think=60"}


def written(folder: Path, **settings: Any) -> RunData:
    prompts = [
        {
            "id": f"q{n}",
            "level": n % 3,
            "messages": [{"role": "user", "content": f"What is {n % 9} times 7?"}],
        }
        for n in range(12)
    ]
    prompts[2]["messages"].insert(0, {"role": "system", "content": "Be brief."})
    tessy.run(prompts=prompts, output=folder, detector="lexicon", **{**PAIR, **settings})
    return RunData(folder)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """Twelve rows; rows 9 to 11 ask what rows 0 to 2 do, but for a system message."""
    return written(tmp_path_factory.mktemp("export") / "run")


@pytest.fixture(scope="session")
def rows(run: RunData) -> list[Row]:
    return list(run.rows())
