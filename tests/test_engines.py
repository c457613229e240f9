"""Runs that belong together: engines are shared, and none begins unless all can."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from helpers import on_virtual_time, plan, rows, run, write_prompts
from policies.stage import crew, policy
from tessy.abc import Capabilities
from tessy.boundary import Origin
from tessy.crew import Crew
from tessy.detection import Detection
from tessy.engines import started
from tessy.errors import ConfigError, ContinuationUnsupported, PluginError
from tessy.execution import opened
from tessy.observer import Observer
from tessy.plan import Outcome, Plan
from tessy.testing import ScriptedBackend, ScriptedDetector
from tessy.types import Span


class Engine(ScriptedBackend):
    """Writes down when it is started and closed."""

    log: list[str]

    async def start(self) -> None:
        self.log.append(f"start {self.model}")

    async def close(self) -> None:
        self.log.append(f"close {self.model}")


class Broken(Engine):
    async def start(self) -> None:
        await super().start()
        raise OSError("no room")


class Stuck(Engine):
    async def close(self) -> None:
        raise OSError("busy")


class Closed(Engine):
    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(continuation=False)


class Labels(ScriptedDetector):
    log: list[str]

    async def start(self) -> None:
        self.log.append("start detector")

    async def close(self) -> None:
        self.log.append("close detector")


class Stage:
    """A teacher, a student and a detector for as many policies as one likes."""

    def __init__(self, teacher: type[Engine] = Engine, student: type[Engine] = Engine) -> None:
        self.log: list[str] = []
        self.backends = {"teacher": teacher("teacher"), "student": student("student")}
        self.detector = Labels(Labels.Options())
        for part in (*self.backends.values(), self.detector):
            part.log = self.log

    def crew(self, name: str) -> Crew:
        made = policy(name)
        detection = Detection(self.detector, Origin("detector", "words")) if made.needs.labels else None
        backends = {role: self.backends[role] for role in made.needs.roles}
        origins = {role: Origin("backend", "engine", "tests") for role in backends}
        return Crew(made, Origin("policy", name), backends, origins, detection)

    def plans(self, folder: Path, prompts: Path, *names: str) -> list[Plan]:
        return [plan(folder / name, prompts, self.crew(name)) for name in names]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", 4)


async def write(plans: Sequence[Plan], log: list[str]) -> list[Outcome]:
    outcomes = []
    async with opened(plans) as runs:
        for one in runs:
            log.append(f"write {one.plan.folder.name}")
            outcomes.append(await one.write(Observer()))
    return outcomes


def test_engines_are_started_once_and_closed_when_no_later_run_needs_them(
    tmp_path: Path, prompts: Path
) -> None:
    stage = Stage()
    names = ("student-only", "tessy", "tessy-again", "teacher-only")
    plans = [plan(tmp_path / name, prompts, stage.crew(name.removesuffix("-again"))) for name in names]
    outcomes = on_virtual_time(write(plans, stage.log))
    assert [outcome.done for outcome in outcomes] == [4, 4, 4, 4]
    assert stage.log == [
        "start student",
        "start teacher",
        "start detector",
        "write student-only",
        "write tessy",
        "write tessy-again",
        "close detector",
        "close student",
        "write teacher-only",
        "close teacher",
    ]


def test_together_they_write_what_each_writes_alone(tmp_path: Path, prompts: Path) -> None:
    names = ("tessy", "student-only", "teacher-mix")
    stage = Stage()
    on_virtual_time(write(stage.plans(tmp_path / "set", prompts, *names), stage.log))
    for one in Stage().plans(tmp_path / "alone", prompts, *names):
        run(one)
    for name in names:
        alone, together = (tmp_path / kind / name / "data.jsonl" for kind in ("alone", "set"))
        assert together.read_bytes() == alone.read_bytes()


@pytest.mark.parametrize(
    ("teacher", "error", "says", "closed"),
    [
        (Broken, PluginError, "failed in start: OSError: no room", {"student", "teacher"}),
        (
            Closed,
            ContinuationUnsupported,
            "policy 'tessy' .* needs continuation",
            {"student", "teacher", "detector"},
        ),
    ],
)
def test_what_speaks_against_one_keeps_all_from_beginning(
    tmp_path: Path, prompts: Path, teacher: type[Engine], error: type[Exception], says: str, closed: set[str]
) -> None:
    stage = Stage(teacher)
    with pytest.raises(error, match=says):
        on_virtual_time(
            write(stage.plans(tmp_path / "a" / "set", prompts, "student-only", "tessy"), stage.log)
        )
    assert not (tmp_path / "a").exists(), "nor are the folders above there that would have held them"
    assert {line.removeprefix("close ") for line in stage.log if line.startswith("close")} == closed
    assert not any(line.startswith("write") for line in stage.log)


def test_a_run_of_another_identity_among_them_keeps_all_as_they_are(tmp_path: Path, prompts: Path) -> None:
    stage = Stage()
    run(plan(tmp_path / "tessy", prompts, stage.crew("tessy"), limit=1, seed=3))
    before = {path: path.read_bytes() for path in (tmp_path / "tessy").glob("*.jsonl")}
    with pytest.raises(ConfigError, match="seed: was 3, is now 0"):
        on_virtual_time(write(stage.plans(tmp_path, prompts, "student-only", "tessy"), stage.log))
    assert not (tmp_path / "student-only").exists()
    assert {path: path.read_bytes() for path in before} == before
    # One more prompt was asked for, and none has been taken in.
    outcome = run(plan(tmp_path / "tessy", prompts, stage.crew("tessy"), limit=1, seed=3))
    assert outcome.total == 1


def test_an_engine_that_fails_to_close_keeps_no_other_open_and_spoils_nothing(
    tmp_path: Path, prompts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(student=Stuck)
    on_virtual_time(write(stage.plans(tmp_path, prompts, "teacher-mix"), stage.log))
    assert "backend 'engine' (package tests) failed in close: OSError: busy" in caplog.text
    assert stage.log[-1] == "close teacher"
    assert len(rows(tmp_path / "teacher-mix")) == 4, "all is written by then"


class Stop(Observer):
    """Cancels the task after so many spans."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.task = asyncio.current_task()

    def committed(self, row: str, span: Span) -> None:
        self.left -= 1
        if self.left == 0:
            assert self.task is not None
            self.task.cancel()


def test_a_set_goes_on_wherever_it_was_stopped(tmp_path: Path, prompts: Path) -> None:
    names = ("teacher-score", "tessy", "student-only")
    options = {"delay": 0.01}

    def plans(folder: Path) -> list[Plan]:
        return [plan(folder / name, prompts, crew(policy(name), **options)) for name in names]

    async def interrupted(after: int) -> bool:
        observer = Stop(after)
        try:
            async with opened(plans(tmp_path / "torn")) as runs:
                for one in runs:
                    await one.write(observer)
        except asyncio.CancelledError:
            return True
        return False

    on_virtual_time(write(plans(tmp_path / "whole"), []))
    stops = 0
    while on_virtual_time(interrupted(29)):
        stops += 1
        # All of the set is there from the start, to be looked at.
        assert {path.name for path in (tmp_path / "torn").iterdir()} == set(names)
        for name in names:
            assert (tmp_path / "torn" / name / "run.yaml").exists()
    assert stops >= 4
    for name in names:
        whole, torn = (tmp_path / kind / name / "data.jsonl" for kind in ("whole", "torn"))
        assert torn.read_bytes() == whole.read_bytes()


async def test_engines_are_closed_in_reverse_also_when_the_body_fails() -> None:
    stage = Stage()
    with pytest.raises(KeyError):
        async with started([stage.crew("tessy"), stage.crew("teacher-only")]):
            raise KeyError
    assert stage.log == [
        "start teacher", "start student", "start detector", "close detector", "close student", "close teacher"
    ]  # fmt: skip


def test_a_folder_that_was_there_stays_and_so_does_what_somebody_put_there(
    tmp_path: Path, prompts: Path
) -> None:
    (tmp_path / "set").mkdir()
    stage = Stage(Broken)
    with pytest.raises(PluginError):
        on_virtual_time(write(stage.plans(tmp_path / "set", prompts, "tessy"), stage.log))
    assert list((tmp_path / "set").iterdir()) == []
