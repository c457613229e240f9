"""The Python API, as a program or a notebook uses it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

import tessy
from helpers import WordDetector, check_row, rows, write_prompts
from tessy import Done, Message, Needs, Options, Prompt, SwitchPolicy, Trajectory, Turn
from tessy.config import RunConfig
from tessy.errors import ConfigError, DataError, TraceError
from tessy.testing import ScriptedBackend, ScriptedOptions

PAIR: Any = {"teacher": "scripted:t?think=20", "student": "scripted:s?think=20"}


class Alone(SwitchPolicy):
    """The student writes all; a policy of the program's own."""

    needs = Needs(roles=("student",), continues=())  # type: ignore[assignment]

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        if "fail" in trajectory.prompt.messages[-1].content:
            raise ValueError("asked to")
        return Done() if trajectory.ended == "end_of_turn" else Turn("student", trajectory.phase)


async def test_generate_returns_the_row() -> None:
    row = await tessy.generate("What is 2 + 3?", **PAIR)
    check_row(row)
    assert row["messages"][0] == {"role": "user", "content": "What is 2 + 3?"}
    assert row["tessy"]["models"] == {"teacher": "scripted:t", "student": "scripted:s"}
    assert await tessy.generate("What is 2 + 3?", **PAIR) == row


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt((Message("system", "Be brief."), Message("user", "Why?"))),
        [Message("system", "Be brief."), Message("user", "Why?")],
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
    ],
)
async def test_a_prompt_may_be_a_conversation(prompt: Any) -> None:
    row = await tessy.generate(prompt, **PAIR)
    assert [m["role"] for m in row["messages"]] == ["system", "user", "assistant"]


async def test_objects_take_the_place_of_specs() -> None:
    student = ScriptedBackend("mine", ScriptedOptions(think=12))
    row = await tessy.generate("Why?", student=student, policy=Alone(Options()))
    check_row({**row, "tessy": {**row["tessy"]}})
    assert row["tessy"]["policy"] == "Alone"
    assert row["tessy"]["models"] == {"student": "ScriptedBackend:mine"}
    assert (student.running, student.sessions) == (0, 0)
    # Classes too, and two objects of one class.
    pair = {"teacher": ScriptedBackend("a"), "student": ScriptedBackend("b")}
    row = await tessy.generate("Why?", backends=pair, detector=WordDetector(Options()))
    assert row["tessy"]["models"] == {"teacher": "ScriptedBackend:a", "student": "ScriptedBackend-2:b"}
    assert row["tessy"]["detector"] == WordDetector.__name__
    assert (await tessy.generate("Why?", student="scripted:s", policy=Alone))["tessy"]["policy"] == "Alone"


async def test_a_trace_that_fails_raises_why() -> None:
    with pytest.raises(TraceError, match=r"policy 'Alone' \(package this program\).*asked to") as caught:
        await tessy.generate("fail", student="scripted:s", policy=Alone)
    assert caught.value.reason == "plugin"


async def test_stream_yields_each_row_once_and_logs_failures(caplog: pytest.LogCaptureFixture) -> None:
    prompts: list[Any] = ["a?", {"id": "two", "prompt": "b?", "level": 3}, Prompt.user("c?"), "fail"]
    with caplog.at_level(logging.WARNING, "tessy"):
        found = [row async for row in tessy.stream(prompts, student="scripted:s", policy=Alone)]
    assert sorted(row["messages"][0]["content"] for row in found) == ["a?", "b?", "c?"]
    assert next(row for row in found if row["id"] == "two")["level"] == 3
    assert "asked to" in caplog.text
    both = [
        row async for row in tessy.stream(prompts, student="scripted:s", policy=Alone, on_failure="yield")
    ]
    assert [row["error"]["reason"] for row in both if "error" in row] == ["plugin"]
    assert len(both) == 4


async def test_stream_goes_on_in_its_directory(tmp_path: Path) -> None:
    prompts, out = write_prompts(tmp_path / "p.jsonl", 6), tmp_path / "run"
    seen = []
    async with aclosing(tessy.stream(prompts, output=out, concurrency=1, **PAIR)) as written:
        async for row in written:
            seen.append(row)
            if len(seen) == 2:
                break
    again = [row async for row in tessy.stream(prompts, output=out, **PAIR)]
    assert [row["id"] for row in again[:2]] == [row["id"] for row in seen]
    assert sorted(row["id"] for row in again) == [f"p{i}" for i in range(6)]
    assert sorted(again, key=lambda row: row["id"]) == rows(out)


async def test_leaving_a_stream_stops_the_models_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    student = ScriptedBackend("s", ScriptedOptions(delay=0.01, think=500))
    endless = ScriptedBackend("s", ScriptedOptions(think=5))
    async with aclosing(tessy.stream(["a", "b"], student=endless, policy=Alone)) as written:
        async for _ in written:
            break
    task = asyncio.ensure_future(tessy.generate("a", student=student, policy=Alone))
    while not student.running:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (student.running, student.sessions) == (0, 0)
    assert os.listdir(tmp_path) == []
    assert not [t for t in threading.enumerate() if t.name.startswith("tessy")]


def test_run_writes_a_directory_for_each_policy(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", 3)
    config = {"prompts": str(prompts), "policy": ["tessy", "student-only"], "backends": {"all": "scripted:m"}}
    outcomes = tessy.run(config, output=tmp_path / "out")
    assert [(o.done, o.failed) for o in outcomes] == [(3, 0), (3, 0)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["student-only", "tessy"]
    one = tessy.run(RunConfig(output=str(tmp_path / "one")), prompts=["a?", "b?"], **PAIR)
    assert one[0].done == 2


def test_run_reads_a_file_as_the_command_line_does(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", 2)
    path = tmp_path / "run.yaml"
    path.write_text(f"prompts: {prompts}\noutput: {tmp_path / 'a'}\nbackends: scripted:m\nseed: 3\n")
    assert tessy.run(path)[0].done == 2
    command = [sys.executable, "-m", "tessy", "run", "-c", str(path), "-o", str(tmp_path / "b")]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "a" / "data.jsonl").read_bytes() == (tmp_path / "b" / "data.jsonl").read_bytes()


async def test_run_works_inside_a_running_loop(tmp_path: Path) -> None:
    """As in a notebook."""
    assert tessy.run(prompts=["a?"], output=tmp_path / "run", **PAIR)[0].done == 1
    assert (await tessy.run_async(prompts=["a?"], output=tmp_path / "run2", **PAIR))[0].done == 1


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"teecher": "scripted:t"}, "no such setting 'teecher'; settings are teacher"),
        ({"student": 7, "policy": Alone}, "backend 7: must be a SPEC or a mapping"),
        (
            {"student": "scripted:s", "policy": WordDetector},
            "policy <class .*a SwitchPolicy may be given too",
        ),
        ({"student": "scripted:s"}, "needs a backend for teacher"),
        ({"student": "scripted:s", "policy": "tesy"}, "did you mean 'tessy'"),
        ({**PAIR, "policy": ["tessy", "teacher-only"]}, "use tessy.run for several"),
        ({**PAIR, "seed": -1}, "seed"),
    ],
)
async def test_wrong_settings_say_what_is_wrong(settings: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        await tessy.generate("a?", **settings)


async def test_wrong_prompts_say_which(tmp_path: Path) -> None:
    odd: list[Any] = ["a?", 7]
    with pytest.raises(DataError, match=r"prompt 2: a row must be a JSON object"):
        _ = [row async for row in tessy.stream(odd, **PAIR)]
    with pytest.raises(ConfigError, match="no prompts"):
        _ = [row async for row in tessy.stream([], **PAIR)]
    with pytest.raises(ConfigError, match="no such file"):
        _ = [row async for row in tessy.stream(tmp_path / "none.jsonl", **PAIR)]


def test_importing_tessy_stays_cheap() -> None:
    code = (
        "import sys, tessy, json; print(json.dumps(sorted(m for m in sys.modules if m.startswith('tessy'))))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "tessy.api" not in json.loads(out)
