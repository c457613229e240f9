"""``data.jsonl`` at a start: left alone where it is what the journal says, written anew where it is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from helpers import on_virtual_time, plan, run, write_prompts
from tessy.dataset import DATA
from tessy.execution import execute
from tessy.journal import Store
from tessy.observer import Observer


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", 6)


def started(folder: Path, prompts: Path) -> tuple[bytes, bool]:
    """The data after the start of a run that has one row more to write, and whether it was written anew."""
    with closing(Store(folder / "journal.sqlite")) as store:
        store._db.execute("UPDATE rows SET status = 'pending', line = NULL WHERE n = 6")
        store._db.execute("DELETE FROM spans WHERE row = 6")
        store._db.execute("DELETE FROM turns WHERE row = 6")
    before = (folder / DATA).stat().st_ino
    seen: list[tuple[bytes, bool]] = []

    def look(total: int, done: int, failed: int) -> None:
        seen.append(((folder / DATA).read_bytes(), (folder / DATA).stat().st_ino != before))

    on_virtual_time(execute(plan(folder, prompts), Observer(), totals=look))
    return seen[0]


def without_the_last(data: bytes) -> bytes:
    return b"".join(data.splitlines(keepends=True)[:-1])


def test_what_is_right_is_left_alone_in_whatever_order(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts))
    data = (tmp_path / "run" / DATA).read_bytes()
    lines = without_the_last(data).splitlines(keepends=True)
    (tmp_path / "run" / DATA).write_bytes(b"".join(reversed(lines)))
    found, anew = started(tmp_path / "run", prompts)
    assert not anew
    assert found == b"".join(reversed(lines))
    assert (tmp_path / "run" / DATA).read_bytes() == data, "in order, once all is done"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-10],
        lambda data: data + data[:40],
        lambda data: data + b"\n",
        lambda data: b"",
        lambda data: data.replace(b"Question 2?", b"Question 3?"),
        lambda data: b"".join(data.splitlines(keepends=True)[1:]),
        lambda data: data + data.splitlines(keepends=True)[0],
        lambda data: bytes(len(data)),
    ],
)
def test_what_is_not_is_written_anew(tmp_path: Path, prompts: Path, spoil: Callable[[bytes], bytes]) -> None:
    run(plan(tmp_path / "run", prompts))
    data = (tmp_path / "run" / DATA).read_bytes()
    (tmp_path / "run" / DATA).write_bytes(spoil(without_the_last(data)))
    assert started(tmp_path / "run", prompts) == (without_the_last(data), True)
    assert (tmp_path / "run" / DATA).read_bytes() == data


def test_a_file_that_is_gone_and_a_journal_that_knows_no_lines(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts))
    data = (tmp_path / "run" / DATA).read_bytes()
    (tmp_path / "run" / DATA).unlink()
    run(plan(tmp_path / "run", prompts))
    assert (tmp_path / "run" / DATA).read_bytes() == data
    with closing(Store(tmp_path / "run" / "journal.sqlite")) as store:
        store._db.execute("UPDATE rows SET line = NULL")
    run(plan(tmp_path / "run", prompts))
    with closing(Store(tmp_path / "run" / "journal.sqlite")) as store:
        assert None not in store.lines("done")


def test_columns_that_have_changed(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts))
    lines = [json.loads(line) for line in prompts.read_text().splitlines()]
    prompts.write_text("".join(json.dumps({**line, "level": 9}) + "\n" for line in lines))
    found, anew = started(tmp_path / "run", prompts)
    assert anew
    assert all(json.loads(line)["level"] == 9 for line in found.splitlines())
