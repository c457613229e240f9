"""Runs in several processes: the same bytes, whatever is killed, interrupted or refused on the way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

import tessy as api
from cli.shell import PAIR, begin, rows, scripted, spans, tessy
from helpers import write_prompts
from tessy.api.plans import make_plan
from tessy.api.settings import configure
from tessy.errors import ConfigError
from tessy.execution import execute
from tessy.stats import Stats
from tessy.testing import EchoBackend, EchoOptions
from tessy.testing.simulated import simulated_servers

ROWS = 10
MODEL = {"thinking": 300, "answer": 300, "spread": 0.2, "token": 0.003, "first": 0.005, "context": 8192}


@pytest.fixture(scope="module")
def flags() -> Iterator[Sequence[str]]:
    """A pair that writes the same traces whenever it is asked."""
    with simulated_servers(("teacher", "student"), **MODEL) as urls:
        yield [
            "--detector=lexicon",
            "--concurrency=4",
            *(f"--{role}=vllm:{role}@{url}" for role, url in urls.items()),
        ]


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prompts(tmp_path_factory.mktemp("prompts") / "prompts.jsonl", ROWS)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, prompts: Path, flags: Sequence[str]) -> bytes:
    """What one process writes."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    tessy("run", prompts, "-o", folder, *flags)
    return (folder / "data.jsonl").read_bytes()


def workers_of(pid: int) -> list[int]:
    """The worker processes that a process has started and that still run."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
    )
    found = [line.split(None, 3) for line in listed.stdout.splitlines()]
    return [
        int(one[0])
        for one in found
        if int(one[1]) == pid and not one[2].startswith("Z") and "tessy.workers" in one[3]
    ]


def alive(pids: Sequence[int]) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,stat="], capture_output=True, text=True, check=True)
    running = {int(pid) for pid, stat in map(str.split, listed.stdout.splitlines()) if stat[0] != "Z"}
    return [pid for pid in pids if pid in running]


def wait_until_gone(pids: Sequence[int]) -> None:
    deadline = time.monotonic() + 120
    while (left := alive(pids)) and time.monotonic() < deadline:
        time.sleep(0.05)  # no child of ours, so there is nothing to wait for
    assert not left


def wait_for_spans(process: subprocess.Popen[str], run: Path, count: int) -> None:
    deadline = time.monotonic() + 240
    while spans(run) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)  # another process writes; there is nothing of it to wait for


def whole(run: Path) -> None:
    """The journal is sound, and no turn or span stands in it twice or is missing in between."""
    with closing(sqlite3.connect(run / "journal.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        for table, number in (("spans", "seq"), ("turns", "n")):
            gaps = db.execute(
                f"SELECT row FROM {table} GROUP BY row, candidate HAVING count(*) <> max({number}) + 1"
            ).fetchall()
            assert gaps == []


# --- the same bytes -------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 4])
def test_the_data_does_not_depend_on_how_many_there_are(
    tmp_path: Path, prompts: Path, flags: Sequence[str], expected: bytes, count: int
) -> None:
    found = tessy("run", prompts, "-o", tmp_path / "run", *flags, "--workers", count, "--json")
    assert (tmp_path / "run/data.jsonl").read_bytes() == expected
    whole(tmp_path / "run")
    figures = json.loads(found.stdout)
    kept = {row["role"]: row["kept"] for row in figures["usage"]}
    written = [json.loads(line)["tessy"]["tokens"] for line in expected.splitlines()]
    assert kept == {role: sum(one[role] for one in written) for role in kept}
    assert f"workers: {count}\n" in (tmp_path / "run/run.yaml").read_text()


def test_every_worker_writes_some_of_it(
    tmp_path: Path, prompts: Path, flags: Sequence[str], expected: bytes
) -> None:
    process = begin("run", prompts, "-o", tmp_path / "run", *flags, "--workers", 2)
    wait_for_spans(process, tmp_path / "run", 10)
    seen = workers_of(process.pid)
    assert len(seen) == 2
    assert process.wait(60) == 0
    process.communicate()
    assert (tmp_path / "run/data.jsonl").read_bytes() == expected
    wait_until_gone(seen)


async def test_what_is_shown_adds_up_to_what_is_journaled(
    tmp_path: Path, prompts: Path, flags: Sequence[str]
) -> None:
    settings = {flag.partition("=")[0][2:]: flag.partition("=")[2] for flag in flags}
    (resolved,) = configure(
        None, {**settings, "concurrency": 4, "workers": 2, "output": tmp_path / "run"}, str(prompts)
    )
    stats = Stats()
    outcome = await execute(make_plan(resolved), stats, totals=stats.begin)
    assert (outcome.done, outcome.failed) == (ROWS, 0)
    assert (stats.done, stats.failures, stats.active) == (ROWS, 0, 0)
    tokens = [row["tessy"] for row in rows(tmp_path / "run")]
    assert dict(stats.kept) == {
        role: sum(one["tokens"][role] for one in tokens) for role in ("teacher", "student")
    }
    assert stats.switches == sum(one["switches"] for one in tokens)
    assert stats.turns == sum(one["turns"] for one in tokens)
    with closing(sqlite3.connect(tmp_path / "run/journal.sqlite")) as db:
        usage = dict(db.execute("SELECT role, sum(generated) FROM usage GROUP BY role"))
    assert dict(stats.generated) == usage


async def test_rows_stream_out_of_workers(prompts: Path, flags: Sequence[str], expected: bytes) -> None:
    settings = {flag.partition("=")[0][2:]: flag.partition("=")[2] for flag in flags}
    settings["concurrency"] = 4  # type: ignore[assignment]
    found = [row async for row in api.stream(prompts, workers=2, **settings)]  # type: ignore[misc]
    written = {row["id"]: row for row in map(json.loads, expected.splitlines())}
    assert {row["id"]: row for row in found} == written


def test_fewer_trajectories_than_workers(tmp_path: Path, prompts: Path, flags: Sequence[str]) -> None:
    tessy("run", prompts, "-n", 1, "-o", tmp_path / "run", *flags, "--workers", 4)
    assert len(rows(tmp_path / "run")) == 1


def test_a_row_that_fails_is_a_failure_there_too(tmp_path: Path, prompts: Path, flags: Sequence[str]) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *flags, "--max-length", 40)
    found = tessy(*args, "--workers", 2, code=3)
    assert f"failed: length ({ROWS})" in found.stdout
    failures = rows(tmp_path / "run", "failures.jsonl")
    assert all(row["error"]["reason"] == "length" for row in failures)
    tessy("run", prompts, "-o", tmp_path / "alone", *flags, "--max-length", 40, code=3)
    assert failures == rows(tmp_path / "alone", "failures.jsonl")


# --- deaths ---------------------------------------------------------------------------------------


def test_the_rows_of_a_killed_worker_are_taken_over(
    tmp_path: Path, prompts: Path, flags: Sequence[str], expected: bytes
) -> None:
    process = begin("run", prompts, "-o", tmp_path / "run", *flags, "--workers", 2)
    wait_for_spans(process, tmp_path / "run", 30)
    victim = workers_of(process.pid)[0]
    os.kill(victim, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"worker {victim} was killed by signal 9; its " in err
    assert "rows go on from the journal" in err
    assert (tmp_path / "run/data.jsonl").read_bytes() == expected
    whole(tmp_path / "run")


def test_workers_that_die_again_and_again_end_the_run_which_can_be_resumed(
    tmp_path: Path, prompts: Path, flags: Sequence[str], expected: bytes
) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *flags, "--workers", 2)
    process = begin(*args)
    wait_for_spans(process, tmp_path / "run", 5)
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        for pid in workers_of(process.pid):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)  # until there are new ones to kill
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "the 7th to end before its time: the run ends" in err
    assert "Traceback" not in err
    tessy(*args)
    assert (tmp_path / "run/data.jsonl").read_bytes() == expected


def test_workers_do_not_outlive_a_killed_run_and_the_same_command_goes_on(
    tmp_path: Path, prompts: Path, flags: Sequence[str], expected: bytes
) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *flags, "--workers", 2)
    process = begin(*args)
    wait_for_spans(process, tmp_path / "run", 30)
    orphans = workers_of(process.pid)
    assert len(orphans) == 2
    process.kill()
    process.wait(10)
    wait_until_gone(orphans)
    process.communicate()
    whole(tmp_path / "run")
    assert spans(tmp_path / "run") >= 30
    tessy(*args[:-1], 3)  # another number of them may go on
    assert (tmp_path / "run/data.jsonl").read_bytes() == expected


# --- stopping -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_cleanly(
    tmp_path: Path, prompts: Path, flags: Sequence[str], expected: bytes, number: signal.Signals
) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *flags, "--workers", 2)
    process = begin(*args)
    wait_for_spans(process, tmp_path / "run", 30)
    seen = workers_of(process.pid)
    # A supervisor signals them all: workers leave it to the run's process.
    for pid in (*seen, process.pid):
        os.kill(pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "killed" not in err
    wait_until_gone(seen)
    whole(tmp_path / "run")
    with closing(sqlite3.connect(tmp_path / "run/journal.sqlite")) as db:
        (booked,) = db.execute("SELECT sum(discarded) FROM usage WHERE kept = 0").fetchone()
    assert booked  # the drafts in flight were paid for, and arrived here
    tessy(*args)
    assert (tmp_path / "run/data.jsonl").read_bytes() == expected


def test_two_signals_stop_at_once(tmp_path: Path, prompts: Path, flags: Sequence[str]) -> None:
    process = begin("run", prompts, "-o", tmp_path / "run", *flags, "--workers", 2)
    wait_for_spans(process, tmp_path / "run", 10)
    seen = workers_of(process.pid)
    for pid in seen:  # they cannot stop cleanly; one that has not written yet is not waited for
        os.kill(pid, signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "again to stop at once" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.3)  # it must still be stopping when the second signal comes
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    for pid in seen:
        os.kill(pid, signal.SIGCONT)
    process.communicate(timeout=30)
    wait_until_gone(seen)
    whole(tmp_path / "run")


def test_a_budget_stops_all_of_them(
    tmp_path: Path, prompts: Path, flags: Sequence[str], expected: bytes
) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *flags, "--workers", 2)
    found = tessy(*args, "--budget-tokens", 1500, code=4)
    assert "the budget of 1,500 tokens is spent" in found.stderr
    assert 0 < spans(tmp_path / "run")
    assert len(rows(tmp_path / "run")) < ROWS
    tessy(*args)
    assert (tmp_path / "run/data.jsonl").read_bytes() == expected


def test_a_backend_that_goes_down_ends_the_run_as_in_one_process(tmp_path: Path, prompts: Path) -> None:
    with simulated_servers(("teacher", "student"), **MODEL) as urls:
        pair = [f"--{role}=vllm:{role}@{url}?patience=1" for role, url in urls.items()]
        process = begin("run", prompts, "-o", tmp_path / "run", "--workers", 2, *pair)
        wait_for_spans(process, tmp_path / "run", 10)
        seen = workers_of(process.pid)
    _, err = process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert "nothing has worked at" in err
    assert "Traceback" not in err
    wait_until_gone(seen)
    assert rows(tmp_path / "run", "failures.jsonl") == []


# --- what is refused ------------------------------------------------------------------------------


def test_engines_in_process_are_refused_before_they_are_loaded(tmp_path: Path, prompts: Path) -> None:
    found = tessy("run", prompts, "-o", tmp_path / "run", *PAIR, "--workers", 2, code=2)
    assert "runs its engine in this process" in found.stderr
    assert "NAME:MODEL@URL" in found.stderr
    assert not (tmp_path / "run").exists()
    tessy("run", prompts, "-o", tmp_path / "run", "-n", 1, *PAIR, "--workers", 1)


def test_objects_of_the_program_are_refused(tmp_path: Path, prompts: Path) -> None:
    with pytest.raises(ConfigError, match="object or class of this program"):
        asyncio.run(
            api.run_async(
                prompts=prompts,
                teacher=EchoBackend("t", EchoOptions()),
                student="scripted:s",
                output=tmp_path / "run",
                workers=2,
            )
        )


def test_what_is_wrong_with_workers_is_said(tmp_path: Path, prompts: Path, flags: Sequence[str]) -> None:
    assert "workers" in tessy("run", prompts, "-o", tmp_path / "run", *flags, "--workers", 0, code=2).stderr
    limited = [f"{flag}?rpm=3" if "vllm" in flag else flag for flag in flags]
    found = tessy("run", prompts, "-o", tmp_path / "run", *limited, "--workers", 4, code=2)
    assert "rpm=3" in found.stderr


def test_a_dry_run_says_how_many_and_starts_none(tmp_path: Path, prompts: Path, flags: Sequence[str]) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *flags, "--workers", 3, "--dry-run")
    assert "3 worker processes" in " ".join(tessy(*args).stdout.split())
    assert json.loads(tessy(*args, "--json").stdout)["workers"] == 3


def test_from_a_file(tmp_path: Path, prompts: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("workers: 2\n")
    tessy("run", prompts, "-c", file, "-o", tmp_path / "run", *scripted(think=60))
    tessy("run", prompts, "-o", tmp_path / "alone", *scripted(think=60))
    assert (tmp_path / "run/data.jsonl").read_bytes() == (tmp_path / "alone/data.jsonl").read_bytes()
