"""The examples run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.shell import PAIR, rows, tessy
from helpers import check_row

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.engine
def test_the_policy_package_installs_and_writes_with_the_miniature_pair(tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
    ]
    target = ["--disable-pip-version-check", "--target", str(site), str(EXAMPLES / "every-other")]
    subprocess.run([*pip, *target], check=True, timeout=120)
    environ = {**os.environ, "PYTHONPATH": str(site)}
    assert "tokens" in tessy("plugins", "every-other", env=environ).stdout
    prompts = EXAMPLES / "miniature" / "prompts.jsonl"
    tessy(
        "run", prompts, "-n", 4, "-o", tmp_path / "run", "--policy", "every-other?tokens=6", *PAIR,
        env=environ, code=None,
    )  # fmt: skip
    for row in rows(tmp_path / "run"):
        check_row(row)
        spans = row["tessy"]["spans"]
        assert max(s["tokens"] for s in spans if s["phase"] == "think") <= 6
        assert [s["author"] for s in spans[:2]] == ["student", "teacher"]


@pytest.mark.engine
def test_preview_writes_live_and_keeps_nothing(tmp_path: Path) -> None:
    found = tessy("preview", "--prompt", "What is 12 + 30 - 5?", *PAIR, cwd=tmp_path, code=None)
    assert "■ teacher" in found.stdout
    assert "tokens so far" in found.stdout
    assert list(tmp_path.iterdir()) == []
