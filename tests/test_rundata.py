"""Reading runs back: rows one at a time, all that is wrong named with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

import tessy
from tessy.directory import RunDirectory
from tessy.errors import ConfigError, DataError
from tessy.rundata import RunData, expand

PAIR: Any = {"teacher": "scripted:t?think=60", "student": "scripted:s?think=60"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    prompts = [f"What is {n} times {n}?" for n in range(3)]
    tessy.run(prompts=prompts, output=folder, detector="lexicon", **PAIR)
    return folder


def _edited(run: Path, tmp_path: Path, edit: Any) -> RunData:
    lines = (run / "data.jsonl").read_bytes().splitlines()
    row = orjson.loads(lines[1])
    edit(row)
    lines[1] = orjson.dumps(row)
    (tmp_path / "data.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return RunData(tmp_path)


def test_rows_come_as_they_were_written(run: Path) -> None:
    rows = list(RunData(run).rows())
    lines = (run / "data.jsonl").read_bytes().splitlines()
    assert [row.data for row in rows] == list(map(orjson.loads, lines))
    assert len({row.id for row in rows}) == 3
    for row in rows:
        pieces = {"think": "", "answer": ""}
        for span in row.spans:
            pieces[span["phase"]] += row.text(span)
        assert pieces == {"think": row.thinking, "answer": row.answer}
        assert row.thinking
        assert row.answer
        assert row.content.index(row.thinking) < row.content.index(row.answer)


def test_the_journal_and_the_settings_can_be_read(run: Path) -> None:
    data = RunData(run)
    store = data.journal()
    try:
        assert store.counts() == {"done": 3}
        with pytest.raises(Exception, match="readonly"):
            store.set_meta("x", "y")
    finally:
        store.close()
    assert data.settings()["detector"]
    assert data.name == "one"
    assert not list(data.failures())


@pytest.mark.parametrize(
    "edit",
    [
        lambda row: row["messages"][-1].update(content=row["messages"][-1]["content"] + "!"),
        lambda row: row["messages"][-1].update(content=row["messages"][-1]["content"][:-1]),
        lambda row: row["tessy"]["spans"].pop(1),
        lambda row: row["tessy"]["spans"].pop(),
        lambda row: row["tessy"]["spans"].reverse(),
        lambda row: row["tessy"]["spans"][0].update(start=-1),
        lambda row: row["tessy"]["tokens"].update(teacher=1),
    ],
)
def test_an_edited_row_is_named(run: Path, tmp_path: Path, edit: Any) -> None:
    with pytest.raises(DataError, match=r"data\.jsonl:2: row '.*do not add up"):
        list(_edited(run, tmp_path, edit).rows())


@pytest.mark.parametrize(
    "edit",
    [
        lambda row: row.pop("tessy"),
        lambda row: row.update(messages=[]),
        lambda row: row["tessy"].pop("tokens"),
        lambda row: row["tessy"].update(spans=[3]),
        lambda row: row.update(tessy="none"),
    ],
)
def test_what_is_no_row_is_named(run: Path, tmp_path: Path, edit: Any) -> None:
    with pytest.raises(DataError, match=r"data\.jsonl:2: not a row of tessy"):
        list(_edited(run, tmp_path, edit).rows())


@pytest.mark.parametrize("line", [b"{", b"[]", b'"x"', b"\xff"])
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "data.jsonl").write_bytes(line + b"\n")
    with pytest.raises(DataError, match=r"data\.jsonl:1: not"):
        list(RunData(tmp_path).rows())


def test_half_a_last_line_is_left_out(run: Path, tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_bytes((run / "data.jsonl").read_bytes()[:-7])
    assert len(list(RunData(tmp_path).rows())) == 2


def test_a_run_that_goes_on_says_so(run: Path) -> None:
    assert not RunData(run).going
    with RunDirectory(run):
        assert RunData(run).going
    assert not RunData(run).going


def test_a_folder_of_runs_stands_for_them(run: Path) -> None:
    assert [data.name for data in expand([run.parent])] == ["one"]
    assert [data.name for data in expand([run])] == ["one"]
    with pytest.raises(ConfigError, match="named twice"):
        expand([run, run.parent])
    with pytest.raises(ConfigError, match="it holds the runs one"):
        RunData(run.parent)


def test_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run here"):
        expand([tmp_path / "nothing"])
