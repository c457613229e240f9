"""Budgets on the command line: what stops, what is said, what goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.shell import rows, scripted, tessy
from helpers import write_prompts

PRICES = ("--price", "teacher=0,1000", "--price", "student=0,0")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", 8)


def test_a_budget_of_tokens_stops_with_exit_code_4_and_a_higher_one_goes_on(
    tmp_path: Path, prompts: Path
) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *scripted(think=300), "--concurrency", 2)
    found = tessy(*args, "--budget-tokens", 1500, code=4)
    assert "tessy: the budget of 1,500 tokens is spent (" in found.stderr
    assert "higher --budget-tokens" in found.stderr
    assert "of 1,500 tokens" in found.stdout
    assert not rows(tmp_path / "run", "failures.jsonl")
    again = tessy(*args, "--budget-tokens", 1500, "--json", code=4)
    figures = json.loads(again.stdout)
    assert figures["budget"] == {"tokens": 1500, "cost": None, "seconds": None}
    assert figures["spent"]["tokens"] >= 1500
    assert "is spent" in figures["stopped"]
    tessy(*args)
    assert len(rows(tmp_path / "run")) == 8
    tessy("run", prompts, "-o", tmp_path / "whole", *scripted(think=300))
    assert (tmp_path / "run/data.jsonl").read_bytes() == (tmp_path / "whole/data.jsonl").read_bytes()


@pytest.mark.parametrize(
    "flags",
    [
        ["--budget-tokens", "1500"],
        ["--budget-tokens", "1500", "--workers", "2"],
        ["--budget-cost", "0.5", *PRICES],
        ["--budget-time", "0.5s"],
    ],
    ids=["tokens", "workers", "cost", "time"],
)
def test_one_figure_of_what_is_spent(tmp_path: Path, prompts: Path, flags: list[str]) -> None:
    """What was under way when the budget was spent is in both, and so is the time that stopping took."""
    models = scripted(think=3000, delay=0.002)
    found = tessy("run", prompts, "-o", tmp_path / "run", *models, *flags, code=4)
    (spent,) = [line.split(maxsplit=1)[1] for line in found.stdout.splitlines() if line.startswith("spent ")]
    assert f"is spent ({spent}); " in found.stderr
    again = tessy("run", prompts, "-o", tmp_path / "run", *models, *flags, "--json", code=4)
    tokens, _, _ = spent.rpartition(",")  # the journal rounds the time
    assert f"is spent ({tokens}, " in json.loads(again.stdout)["stopped"]


def test_a_budget_of_cost(tmp_path: Path, prompts: Path) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *scripted(think=300), *PRICES, "--json")
    figures = json.loads(tessy(*args, "--budget-cost", 0.5, code=4).stdout)
    generated = {row["role"]: row["generated"] for row in figures["usage"]}
    assert figures["spent"]["cost"] == pytest.approx(generated["teacher"] / 1000)
    assert figures["spent"]["cost"] >= 0.5
    assert json.loads(tessy(*args).stdout)["stopped"] is None


def test_a_budget_of_time(tmp_path: Path, prompts: Path) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *scripted(think=3000, delay=0.01))
    assert "the budget of 0.5s is spent" in tessy(*args, "--budget-time", "0.5s", code=4).stderr


def test_several_policies_share_it(tmp_path: Path, prompts: Path) -> None:
    several = ("--policy", "teacher-only", "--policy", "student-only", *scripted(think=300))
    found = tessy("run", prompts, "-o", tmp_path / "set", *several, "--budget-tokens", 500, "--json", code=4)
    assert [entry["policy"] for entry in json.loads(found.stdout)] == ["teacher-only"]


def test_the_resolved_configuration_has_budgets_and_prices(tmp_path: Path, prompts: Path) -> None:
    flags = (*scripted(), *PRICES, "--budget-cost", 90, "--budget-time", "2h30m")
    tessy("run", prompts, "-o", tmp_path / "run", *flags)
    figures = json.loads(
        tessy("run", "-c", tmp_path / "run/run.yaml", "-o", tmp_path / "again", "--json").stdout
    )
    assert figures["budget"] == {"tokens": None, "cost": 90, "seconds": 9000}
    assert figures["spent"]["cost"] > 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--budget-cost", "5"], "give --price teacher=IN,OUT[,CACHED] --price student=IN,OUT[,CACHED]"),
        (["--budget-cost", "5", "--price", "teacher=1,2"], "student has none"),
        (["--price", "judge=1,2"], "there is no role 'judge'; there are teacher, student"),
        (["--price", "1,2"], "names no role; write ROLE=IN,OUT[,CACHED]"),
        (["--price", "all=free"], "no price; write IN,OUT"),
        (["--price", "all=1,2", "--price", "all=1,2"], "two prices for role 'all'"),
        (["--budget-time", "soon"], "--budget-time soon: 'soon' is no time span"),
        (["--budget-tokens", "0"], "--budget-tokens 0: must be greater than or equal to 1"),
        (["--budget-cost", "-1", "--price", "all=1,1"], "--budget-cost -1.0: must be greater than 0"),
    ],
)
def test_wrong_ones_are_told(tmp_path: Path, prompts: Path, flags: list[str], message: str) -> None:
    found = tessy("run", prompts, "-o", tmp_path / "run", *scripted(), *flags, code=2)
    assert message in found.stderr
    assert not (tmp_path / "run").exists()


def test_a_dry_run_estimates_from_the_limit_then_from_what_is_written(tmp_path: Path, prompts: Path) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *scripted(), *PRICES)
    dry = ("--dry-run", "--json")
    bound = json.loads(tessy(*args, *dry, "--max-length", 1000).stdout)["estimate"]
    assert (bound["basis"], bound["tokens"], bound["cost"]) == ("max-length", 8000, 8.0)
    assert bound["covers"] == "kept"
    said = tessy(*args, "--dry-run", "--max-length", 1000).stdout
    assert (
        "kept tokens: at most 8,000, 8.00 if the dearest model writes them all; prompts, which each" in said
    )
    assert "cost" not in said
    spent = json.loads(tessy(*args, "-n", 4, "--json").stdout)["spent"]
    left = json.loads(tessy(*args, *dry).stdout)["estimate"]
    assert (left["basis"], left["traces"], left["tokens"]) == ("rows so far", 4, spent["tokens"])
    assert left["cost"] == pytest.approx(spent["cost"])
    assert left["covers"] == "all"


def test_a_dry_run_of_a_stopped_run_counts_what_is_under_way(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "many.jsonl", 80)
    args = (
        "run",
        prompts,
        "-o",
        tmp_path / "run",
        *scripted(think=100),
        *PRICES,
        "--concurrency",
        80,
        "--json",
    )
    stopped = json.loads(tessy(*args, "--budget-tokens", 14_000, code=4).stdout)
    ended = stopped["rows"]["done"]
    assert 0 < ended < 20
    left = json.loads(tessy(*args, "--dry-run").stdout)["estimate"]
    whole = json.loads(tessy(*args).stdout)
    for what in ("tokens", "cost"):
        true = whole["spent"][what] - stopped["spent"][what]
        assert true / 4 < left[what] < true * 4  # by rows that have ended it would be 30 times as much
    assert left["traces"] == 80 - ended
