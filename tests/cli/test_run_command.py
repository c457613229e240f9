"""``tessy run`` as users run it; where it matters, in real processes and with real signals."""

from __future__ import annotations

import json
import random
import resource
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from cli.shell import PAIR, begin, rows, scripted, spans, stop_after, tessy
from helpers import check_row, write_prompts
from tessy.prompts import read_prompts


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", 8)


def test_prompts_in_a_column_of_another_name(tmp_path: Path) -> None:
    path, again = tmp_path / "prompts.jsonl", tmp_path / "again.jsonl"
    texts = ["What is 1 + 1?", "What is 2 + 2?"]
    path.write_text("".join(json.dumps({"question": text, "answer": 0}) + "\n" for text in texts))
    run = ("run", path, "-o", tmp_path / "run", *scripted())
    assert "name one with --column" in tessy(*run, code=2).stderr
    assert "2 traces" in tessy(*run, "--column", "question", "--dry-run").stdout
    tessy(*run, "--column", "question")
    found = rows(tmp_path / "run")
    assert [(row["question"], row["messages"][0]["content"]) for row in found] == list(
        zip(texts, texts, strict=True)
    )
    tessy("run", "-c", tmp_path / "run" / "run.yaml", "-o", tmp_path / "copy")
    assert rows(tmp_path / "copy") == found
    # The same prompts under another name are the same rows.
    again.write_text("".join(json.dumps({"problem": text}) + "\n" for text in texts))
    tessy("run", again, "-o", tmp_path / "run", *scripted(), "--column", "problem")
    assert [(row["id"], row["messages"]) for row in rows(tmp_path / "run")] == [
        (row["id"], row["messages"]) for row in found
    ]
    assert [row["problem"] for row in rows(tmp_path / "run")] == texts


def test_a_prompt_of_the_command_line_needs_no_column(tmp_path: Path) -> None:
    settings = tmp_path / "run.yaml"
    settings.write_text("column: question\nprompts: no.jsonl\n")
    found = tessy("preview", "-p", "What is 1 + 1?", "-c", settings, *scripted())
    (row,) = read_prompts(["What is 1 + 1?"])
    assert row.id in found.stdout


def test_ten_kills_leave_the_same_bytes(tmp_path: Path, prompts: Path) -> None:
    tessy("run", prompts, "-o", tmp_path / "whole", *scripted(think=300))
    random_ = random.Random(3)
    args = ("run", prompts, "-o", tmp_path / "torn", *scripted(think=300, delay=0.002), "--concurrency", 5)
    for _ in range(10):
        code = stop_after(
            begin(*args), tmp_path / "torn", spans(tmp_path / "torn") + random_.randrange(5, 60)
        )
        assert code == -signal.SIGKILL
    tessy(*args)
    for name in ("data.jsonl", "failures.jsonl"):
        assert (tmp_path / "torn" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.engine
def test_the_miniature_pair_survives_kills(tmp_path: Path) -> None:
    prompts = Path(__file__).parents[2] / "examples" / "miniature" / "prompts.jsonl"
    args = ("run", prompts, "-n", 32, "-o", tmp_path / "run", *PAIR, "--concurrency", 4)
    for _ in range(4):
        code = stop_after(begin(*args), tmp_path / "run", spans(tmp_path / "run") + 40)
        assert code == -signal.SIGKILL
    tessy(*args, code=None)
    done, failed = rows(tmp_path / "run"), rows(tmp_path / "run", "failures.jsonl")
    assert len(done) + len(failed) == 32
    assert len({row["id"] for row in [*done, *failed]}) == 32
    for row in done:
        check_row(row)
        assert {s["author"] for s in row["tessy"]["spans"]} == {"teacher", "student"}
        assert all(s["author"] == "student" for s in row["tessy"]["spans"] if s["phase"] == "answer")


def test_an_interrupt_keeps_what_is_committed_and_exits_130(tmp_path: Path, prompts: Path) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *scripted(think=300, delay=0.002))
    for number in (signal.SIGINT, signal.SIGTERM):
        process = begin(*args)
        assert stop_after(process, tmp_path / "run", spans(tmp_path / "run") + 30, number) == 130
    before = spans(tmp_path / "run")
    assert before >= 60
    tessy(*args)
    assert len(rows(tmp_path / "run")) == 8
    tessy("run", prompts, "-o", tmp_path / "whole", *scripted(think=300))
    assert (tmp_path / "run/data.jsonl").read_bytes() == (tmp_path / "whole/data.jsonl").read_bytes()


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["people", "json"])
def test_an_interrupted_run_says_what_is_done_and_spent(
    tmp_path: Path, prompts: Path, flags: Sequence[str]
) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *scripted(think=300, delay=0.002), *flags)
    process = begin(*args)
    while spans(tmp_path / "run") < 30:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in err
    if not flags:
        assert "0 of 8 rows done" in out
        assert "for 1,000 tokens kept" in out
        return
    figures = json.loads(out)
    assert figures["rows"] == {"total": 8, "done": 0, "failed": 0}
    assert "interrupted" in figures["stopped"]
    with closing(sqlite3.connect(tmp_path / "run" / "journal.sqlite")) as db:
        kept = db.execute("SELECT sum(kept) FROM usage").fetchone()[0]
    assert sum(row["kept"] for row in figures["usage"]) == kept > 0


def test_a_directory_in_use_is_refused(tmp_path: Path, prompts: Path) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *scripted(think=300, delay=0.01))
    process = begin(*args)
    while not spans(tmp_path / "run"):
        assert process.poll() is None
    found = tessy(*args, code=2)
    assert "another tessy process is running here" in found.stderr
    assert stop_after(process, tmp_path / "run", 0, signal.SIGINT) == 130


def test_several_policies_write_a_folder_each_and_are_named(tmp_path: Path, prompts: Path) -> None:
    several = ("--policy", "tessy?k=9", "--policy", "tessy?k=3", "--policy", "student-only", *scripted())
    names = ["tessy-k=9", "tessy-k=3", "student-only"]
    found = tessy("run", prompts, "-o", tmp_path / "set", *several, "--json")
    figures = json.loads(found.stdout)
    assert [entry["policy"] for entry in figures] == ["tessy?k=9", "tessy?k=3", "student-only"]
    assert [entry["folder"] for entry in figures] == [str(tmp_path / "set" / name) for name in names]
    assert [entry["rows"] for entry in figures] == [{"total": 8, "done": 8, "failed": 0}] * 3
    for name in names:
        assert len(rows(tmp_path / "set" / name)) == 8
        assert f"policy {name} -> " in found.stderr
    # Again, there is nothing to do; the last table has a line for each.
    shown = tessy("run", prompts, "-o", tmp_path / "set", *several).stdout
    for name in names:
        assert f"\n{name}: 8 of 8 rows done, 0 failed" in shown
    lines = shown[shown.rindex("all policies") :].splitlines()[2:]
    assert [line.split()[:3] for line in lines] == [[name, "8", "0"] for name in names]
    by_teacher = [int(line.split()[3].replace(",", "")) for line in lines]
    assert by_teacher[2] == 0 < by_teacher[1]


def test_one_policy_is_named_in_the_figures(tmp_path: Path, prompts: Path) -> None:
    found = tessy("run", prompts, "-o", tmp_path / "run", "--policy", "tessy?k=9", *scripted(), "--json")
    assert json.loads(found.stdout)["policy"] == "tessy?k=9"


def test_several_policies_read_standard_input_once(tmp_path: Path, prompts: Path) -> None:
    several = ("--policy", "teacher-only", "--policy", "teacher-mix?ratio=0.2", *scripted())
    for flags in (("--dry-run", "--json"), ()):
        with prompts.open() as file:
            found = tessy("run", "-", "-o", tmp_path / "set", *several, *flags, stdin=file)
        if flags:
            assert [entry["traces"] for entry in json.loads(found.stdout)] == [8, 8]
            assert not (tmp_path / "set").exists()
    for name in ("teacher-only", "teacher-mix"):
        assert len(rows(tmp_path / "set" / name)) == 8


def test_a_dry_run_of_several_policies_names_each(tmp_path: Path, prompts: Path) -> None:
    several = ("--policy", "teacher-only", "--policy", "teacher-score?candidates=2", *scripted())
    found = tessy("run", prompts, "-o", tmp_path / "set", *several, "--dry-run")
    for policy, name in (("teacher-only", "teacher-only"), ("teacher-score?candidates=2", "teacher-score")):
        assert (
            f"policy {policy}: everything fits; 8 traces to write into {tmp_path / 'set' / name}, "
            in found.stdout
        )
    assert not (tmp_path / "set").exists()


def test_a_set_that_was_killed_goes_on(tmp_path: Path, prompts: Path) -> None:
    def args(folder: Path) -> tuple[object, ...]:
        several = ("--policy", "teacher-think", "--policy", "tessy", "--policy", "teacher-answer")
        return ("run", prompts, "-o", folder, *several, *scripted(think=300, delay=0.001), "--concurrency", 4)

    names = ("teacher-think", "tessy", "teacher-answer")
    for name, count in zip(names, (9, 60, 9), strict=True):
        assert stop_after(begin(*args(tmp_path / "torn")), tmp_path / "torn" / name, count) == -signal.SIGKILL
        assert (tmp_path / "torn" / names[-1] / "run.yaml").exists()
    tessy(*args(tmp_path / "torn"))
    tessy(*args(tmp_path / "whole"))
    for name in names:
        whole, torn = (tmp_path / kind / name / "data.jsonl" for kind in ("whole", "torn"))
        assert torn.read_bytes() == whole.read_bytes()


def test_several_policies_are_not_mixed_with_the_run_of_one(tmp_path: Path, prompts: Path) -> None:
    alone = ("--policy", "student-only", "--student", "scripted:s")
    tessy("run", prompts, "-o", tmp_path / "run", *alone, "-n", 1)
    several = ("--policy", "student-only", "--policy", "teacher-only", *scripted())
    found = tessy("run", prompts, "-o", tmp_path / "run", *several, code=2)
    assert "holds the run of a single policy" in found.stderr
    assert not (tmp_path / "run" / "teacher-only").exists()


def test_failed_rows_give_exit_code_3(tmp_path: Path, prompts: Path) -> None:
    found = tessy("run", prompts, "-o", tmp_path / "run", *scripted(), "--max-length", 20, code=3)
    assert "8 failed" in found.stdout
    assert "failed: length (8)" in found.stdout
    assert len(rows(tmp_path / "run", "failures.jsonl")) == 8


def test_the_resolved_configuration_can_be_run_again(tmp_path: Path, prompts: Path) -> None:
    tessy("run", prompts, "-o", tmp_path / "run", *scripted(think=30), "--policy", "tessy?k=7", "--seed", 4)
    tessy("run", "-c", tmp_path / "run" / "run.yaml", "-o", tmp_path / "again")
    assert (tmp_path / "again/data.jsonl").read_bytes() == (tmp_path / "run/data.jsonl").read_bytes()
    tessy("run", "-c", tmp_path / "run" / "run.yaml")  # goes on with the run itself: nothing to do


def test_dry_run_writes_nothing(tmp_path: Path, prompts: Path) -> None:
    found = tessy("run", prompts, "-o", tmp_path / "run", *scripted(), "--samples", 2, "--dry-run")
    assert "16 traces to write" in found.stdout
    assert not (tmp_path / "run").exists()


def test_prompts_from_standard_input(tmp_path: Path, prompts: Path) -> None:
    with prompts.open() as file:
        tessy("run", "-", "-o", tmp_path / "run", *scripted(), stdin=file)
    assert len(rows(tmp_path / "run")) == 8


def test_run_files_are_private(tmp_path: Path, prompts: Path) -> None:
    tessy("run", prompts, "-o", tmp_path / "run", *scripted(), "-n", 1)
    for path in (tmp_path / "run").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert (tmp_path / "run").stat().st_mode & 0o077 == 0


def test_no_secret_is_written(tmp_path: Path, prompts: Path) -> None:
    canary = "canary-3b1f9c"
    tessy(
        "run", prompts, "-o", tmp_path / "run", "-n", 1,
        "--teacher", "scripted:${CANARY}", "--student", "scripted:s",
        env={"CANARY": canary, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    for path in (tmp_path / "run").iterdir():
        assert canary.encode() not in path.read_bytes(), path


def test_a_full_disk_stops_the_run_cleanly_and_loses_nothing(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", 30)
    args = ("run", prompts, "-o", tmp_path / "run", *scripted(think=300, chunk=4))

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (220_000, 220_000))

    found = tessy(*args, code=1, preexec_fn=little_room)
    assert "cannot be written" in found.stderr
    assert "make room and give the same command again, it goes on from there" in found.stderr
    assert "Traceback" not in found.stderr
    assert "never retrieved" not in found.stderr
    assert spans(tmp_path / "run") > 0  # how many fit depends on how often the journal was committed
    tessy(*args)
    tessy("run", prompts, "-o", tmp_path / "whole", *scripted(think=300, chunk=4))
    assert (tmp_path / "run/data.jsonl").read_bytes() == (tmp_path / "whole/data.jsonl").read_bytes()


@pytest.mark.parametrize("room", [0, 1_000, 40_000, 100_000, 200_000])
def test_a_disk_that_is_full_at_the_start_is_no_fault_of_the_program(tmp_path: Path, room: int) -> None:
    """While the journal is made, or while prompts are read into it: 60 times 3,000 characters."""
    prompts = tmp_path / "p.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"{n} {'x' * 3000}"}) + "\n" for n in range(60)))

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    found = tessy("run", prompts, "-o", tmp_path / "run", *scripted(), code=1, preexec_fn=little_room)
    assert len(found.stderr.splitlines()) == 1, found.stderr
    assert f"{tmp_path / 'run' / 'journal.sqlite'}: cannot be written: " in found.stderr
    assert "make room and give the same command again" in found.stderr
    assert not (tmp_path / "run").exists()
    tessy("run", prompts, "-o", tmp_path / "run", *scripted())
    assert len(rows(tmp_path / "run")) == 60


def test_data_whose_journal_is_gone_are_not_written_over(tmp_path: Path, prompts: Path) -> None:
    tessy("run", prompts, "-o", tmp_path / "run", *scripted())
    data, journal = tmp_path / "run" / "data.jsonl", tmp_path / "run" / "journal.sqlite"
    before, kept = data.read_bytes(), journal.read_bytes()
    for gone in (lambda: journal.unlink(), lambda: journal.touch()):
        gone()
        found = tessy("run", prompts, "-o", tmp_path / "run", *scripted(), code=2)
        assert f"{data}: is there, but not the journal.sqlite that it was made from" in found.stderr
        assert data.read_bytes() == before
    journal.write_bytes(kept)
    tessy("run", prompts, "-o", tmp_path / "run", *scripted())
