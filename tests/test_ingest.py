"""Prompts that change between two processes: what was written stays, and what is left behind is said."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import crew, plan, rows, run
from tessy.errors import ConfigError
from tessy.execution import opened


def write(path: Path, numbers: range | list[int], *, ids: bool = True) -> Path:
    made = [{"prompt": f"Question {n}?"} | ({"id": f"p{n}"} if ids else {}) for n in numbers]
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of ten prompts."""
    run(plan(tmp_path / "run", write(tmp_path / "ten.jsonl", range(10))))
    return tmp_path / "run"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_prompts_that_are_left_out_stay_and_are_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = write(folder.parent / "other.jsonl", [0, 1, 2, 20, 21])
    assert run(plan(folder, other)).done == 5
    assert warnings(caplog) == [
        f"{folder}: 7 of the rows that have ended are not in {other}; what is written stays in data.jsonl "
        "and failures.jsonl, and so in exports and reports"
    ]
    assert {row["id"] for row in rows(folder)} == {f"p{n}" for n in [*range(10), 20, 21]}


def test_rows_that_are_added_and_limits_need_no_word(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    more = write(folder.parent / "ten.jsonl", range(12))
    assert run(plan(folder, more)).done == 12
    for limit in (1, 10, 12, 99):
        assert run(plan(folder, more, limit=limit)).done == min(limit, 12)
    assert run(plan(folder, more, samples=3)).done == 36
    assert run(plan(folder, more, samples=2)).done == 24
    assert run(plan(folder, write(folder.parent / "ten.jsonl", [*range(12)][::-1]))).done == 12, (
        "another order"
    )
    assert warnings(caplog) == []


def test_a_limit_explains_what_is_beyond_it_and_no_more(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = write(folder.parent / "other.jsonl", [0, 1, 20, 21, 22])
    run(plan(folder, other, limit=3))
    assert len(warnings(caplog)) == 1
    assert f"1 of the rows that have ended is not in the first 3 of {other}" in warnings(caplog)[0]


@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("ids", [True, False])
def test_a_file_without_any_of_the_rows_is_refused(folder: Path, limit: int | None, ids: bool) -> None:
    before = (folder / "data.jsonl").read_bytes(), (folder / "run.yaml").read_bytes()
    other = write(folder.parent / "other.jsonl", range(20, 23), ids=ids)
    with pytest.raises(ConfigError) as caught:
        run(plan(folder, other, limit=limit))
    assert str(caught.value) == (
        f"{folder}: holds a run of other prompts: none of the rows that have ended here (10) is in {other}; "
        "choose another -o, or add the new prompts to the file that was read here"
    )
    assert ((folder / "data.jsonl").read_bytes(), (folder / "run.yaml").read_bytes()) == before
    assert run(plan(folder, folder.parent / "ten.jsonl")).done == 10, "as if nothing had been"


def test_a_run_in_which_nothing_has_ended_may_begin_with_other_prompts(tmp_path: Path) -> None:
    async def begin() -> None:
        async with opened([plan(tmp_path / "run", write(tmp_path / "ten.jsonl", range(10)))]):
            pass

    asyncio.run(begin())
    assert run(plan(tmp_path / "run", write(tmp_path / "other.jsonl", range(20, 22)))).done == 2


def test_a_program_may_give_prompts_in_portions(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = replace(plan(folder, folder), prompts=["Question 20?", "Question 21?"])
    assert run(given).done == 2
    assert len(warnings(caplog)) == 1
    assert "10 of the rows that have ended are not in the prompts given" in warnings(caplog)[0]
    assert len(rows(folder)) == 12


def test_a_row_that_has_failed_has_ended_too(tmp_path: Path) -> None:
    first = plan(tmp_path / "run", write(tmp_path / "ten.jsonl", range(2)), crew(think=9))
    limits = replace(first.limits, max_length=1)
    assert run(replace(first, limits=limits)).failed == 2
    with pytest.raises(ConfigError, match=r"none of the rows that have ended here \(2\) is in"):
        run(plan(tmp_path / "run", write(tmp_path / "other.jsonl", range(5, 6)), crew(think=9)))
