"""Runs from prompts to rows with scripted models on virtual time."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import check_row, crew, on_virtual_time, plan, rows, run, write_prompts
from tessy.abc import Session
from tessy.crew import Crew
from tessy.dataset import DATA, FAILURES
from tessy.errors import BackendDown, ConfigError
from tessy.execution import execute
from tessy.limits import Limits
from tessy.observer import Observer
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy.policies.isolation import IsolationOptions
from tessy.policies.solo import StudentOnly, TeacherOnly
from tessy.stats import Stats
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.trajectory import Trajectory
from tessy.types import Chunk, Done, Finish, Needs, Prompt, Request, Turn


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", 12)


def test_two_models_write_every_row_together(tmp_path: Path, prompts: Path) -> None:
    outcome = run(plan(tmp_path / "run", prompts))
    assert (outcome.total, outcome.done, outcome.failed) == (12, 12, 0)
    data = rows(tmp_path / "run")
    assert [row["id"] for row in data] == [f"p{i}" for i in range(12)]
    for i, row in enumerate(data):
        check_row(row)
        assert row["level"] == i % 3
        assert row["messages"][0] == {"role": "user", "content": f"Question {i}?"}
        content = row["messages"][-1]["content"]
        for span in row["tessy"]["spans"]:
            words = content[span["start"] : span["end"]].split()
            if span["phase"] == "answer":
                assert span["author"] == "student"
                assert span["kind"] is None
            else:
                # The script betrays the author (odd numbers: student), the words their kind.
                capability = [w for w in words if w[0] == "c" and w[1:].isdigit()]
                assert span["kind"] == ("capability" if capability else "style")
                assert span["author"] == ("teacher" if capability else "student")
                assert all(int(w[1:]) % 2 == 0 for w in capability)


def test_paper_steps_give_the_same_authors(tmp_path: Path, prompts: Path) -> None:
    made = crew(TessyPolicy(TessyOptions(k_teacher=10, k_student=5)))
    run(plan(tmp_path / "run", prompts, made))
    for row in rows(tmp_path / "run"):
        check_row(row)
        assert {s["author"] for s in row["tessy"]["spans"]} == {"teacher", "student"}
        assert max(s["tokens"] for s in row["tessy"]["spans"]) <= 10


@pytest.mark.parametrize(("policy", "author"), [(StudentOnly, "student"), (TeacherOnly, "teacher")])
def test_one_model_alone(tmp_path: Path, prompts: Path, policy: type, author: str) -> None:
    run(plan(tmp_path / "run", prompts, crew(policy(IsolationOptions()))))
    for row in rows(tmp_path / "run"):
        check_row(row)
        assert {s["author"] for s in row["tessy"]["spans"]} == {author}
        assert row["tessy"]["detector"] is None


def test_teacher_may_answer_and_begin(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts, crew(TessyPolicy(TessyOptions(answer="teacher", start="teacher")))))
    assert all(row["tessy"]["spans"][-1]["author"] == "teacher" for row in rows(tmp_path / "run"))


def test_tokens_add_up_with_what_the_engines_counted(tmp_path: Path, prompts: Path) -> None:
    stats = Stats()
    run(plan(tmp_path / "run", prompts, crew(chunk=3)), stats)
    data = rows(tmp_path / "run")
    for role in ("teacher", "student"):
        assert stats.kept[role] == sum(row["tessy"]["tokens"][role] for row in data)
        assert stats.generated[role] == stats.kept[role] + stats.discarded[role]


def test_concurrency_and_chunking_leave_no_trace_in_the_data(tmp_path: Path, prompts: Path) -> None:
    found = set()
    for name, concurrency, chunk in (("a", 1, 1), ("b", 64, 1), ("c", 5, 7)):
        run(plan(tmp_path / name, prompts, crew(chunk=chunk, think=300, delay=0.01), concurrency=concurrency))
        found.add((tmp_path / name / DATA).read_bytes())
    assert len(found) == 1


@pytest.mark.parametrize(
    ("policy", "think"), [(TessyPolicy(TessyOptions()), 100), (TeacherOnly(IsolationOptions()), 700)]
)
def test_interrupted_again_and_again_it_ends_in_the_same_bytes(
    tmp_path: Path, prompts: Path, policy: TessyPolicy | TeacherOnly, think: int
) -> None:
    run(plan(tmp_path / "whole", prompts, crew(policy, think=think)))
    random_ = random.Random(7)

    async def interrupted(after: float) -> bool:
        made = crew(policy, think=think, delay=0.01)
        running = asyncio.ensure_future(
            execute(plan(tmp_path / "torn", prompts, made, concurrency=5), Observer())
        )
        asyncio.get_running_loop().call_later(after, running.cancel)
        try:
            await running
        except asyncio.CancelledError:
            assert all(
                isinstance(b, ScriptedBackend) and b.running == b.sessions == 0
                for b in made.backends.values()
            )
            return True
        return False

    kills = 0
    while on_virtual_time(interrupted(random_.uniform(0.2, think / 150))):
        kills += 1
    assert kills >= 5, kills
    assert (tmp_path / "torn" / DATA).read_bytes() == (tmp_path / "whole" / DATA).read_bytes()


def test_more_prompts_and_a_higher_limit_run_only_what_is_new(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts, limit=4))
    assert len(rows(tmp_path / "run")) == 4
    stats = Stats()
    run(plan(tmp_path / "run", prompts, limit=6), stats)
    assert (len(rows(tmp_path / "run")), stats.finished_here) == (6, 2)
    prompts.write_text(prompts.read_text() + '{"id": "new", "prompt": "One more?"}\n')
    stats = Stats()
    run(plan(tmp_path / "run", prompts), stats)
    assert stats.finished_here == 7
    assert [row["id"] for row in rows(tmp_path / "run")][-1] == "new"


def test_samples_are_rows_of_their_own(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts, limit=2, samples=3))
    data = rows(tmp_path / "run")
    assert [row["id"] for row in data] == ["p0#0", "p0#1", "p0#2", "p1#0", "p1#1", "p1#2"]
    assert len({row["messages"][-1]["content"] for row in data}) == 6


def test_fewer_samples_leave_all_names_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": "a", "prompt": "One?"}\n{"id": "a#1", "prompt": "Two?"}\n')
    run(plan(tmp_path / "run", path, samples=2))
    before = (tmp_path / "run" / DATA).read_bytes()
    run(plan(tmp_path / "run", path, samples=1))
    assert (tmp_path / "run" / DATA).read_bytes() == before
    assert len({row["id"] for row in rows(tmp_path / "run")}) == 4


class Denser(ScriptedBackend):
    """Its tokens are half as long as the other's."""

    def count_tokens(self, text: str) -> int:
        return 2 * len(text.split())


class Stops(TeacherOnly):
    """A turn ends at a stop string, too."""

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        turn = super().next_turn(trajectory)
        return turn if isinstance(turn, Done) else replace(turn, stop=("stop here now",))


class Both(TeacherOnly):
    """The student is there to count."""

    @property
    def needs(self) -> Needs:
        return Needs(continues=())


def test_the_length_left_to_a_turn_is_the_same_after_a_resume(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", 1)
    for limit in (600, 2500):
        limits = Limits(max_length=limit)

        def made(delay: float) -> Crew:
            # The delay is part of the identity, so it is the same whether the run is interrupted or not.
            options = ScriptedOptions(think=1000, delay=delay)
            return crew(
                Both(IsolationOptions()),
                teacher=ScriptedBackend("t", options),
                student=Denser("s", options),
            )

        run(plan(tmp_path / f"whole{limit}", prompts, made(0.01), limits=limits))

        async def interrupted(folder: Path, limits: Limits = limits) -> None:
            running = asyncio.ensure_future(
                execute(plan(folder, prompts, made(0.01), limits=limits), Observer())
            )
            await asyncio.sleep(4)
            running.cancel()
            await asyncio.wait((running,))
            assert running.cancelled()

        on_virtual_time(interrupted(tmp_path / f"torn{limit}"))
        run(plan(tmp_path / f"torn{limit}", prompts, made(0.01), limits=limits))
        for name in (DATA, FAILURES):
            whole, torn = (tmp_path / f"{kind}{limit}" / name for kind in ("whole", "torn"))
            assert torn.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("place", [253, 254, 255, 256])
def test_a_stop_string_across_a_checkpoint_is_found_however_the_text_arrives(
    tmp_path: Path, place: int
) -> None:
    words = [f"w{i}" for i in range(place)] + ["stop", "here", "now"] + ["on"] * 20

    def script(prompt: Prompt, request: Request) -> tuple[str, Finish]:
        if request.turn.phase == "answer":
            return " done", "end_of_turn"
        return "".join(f" {word}" for word in words[len(request.thinking.split()) :]), "end_of_thinking"

    found = set()
    for chunk in (1, 3, 10):
        teacher = ScriptedBackend("t", ScriptedOptions(chunk=chunk), script=script)
        prompts = write_prompts(tmp_path / "p.jsonl", 1)
        run(plan(tmp_path / f"run{chunk}", prompts, crew(Stops(IsolationOptions()), teacher=teacher)))
        found.add((tmp_path / f"run{chunk}" / DATA).read_bytes())
        assert rows(tmp_path / f"run{chunk}")[0]["tessy"]["turns"] == 3
    assert len(found) == 1


@pytest.mark.parametrize("after", ["\u00a0let me see.", " Wait, so", "\n\nWait,"])
def test_a_cut_beside_a_checkpoint_falls_where_it_does_however_the_text_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    monkeypatch.setattr("tessy.writer.BLOCK", 3)

    def script(prompt: Prompt, request: Request) -> tuple[str, Finish]:
        if request.turn.phase == "answer":
            return " done", "end_of_turn"
        if request.turn.role == "teacher" and not request.thinking:
            return " c12 c53 c64" + after + " and on and on" * 9, "end_of_thinking"
        return " well" if request.turn.role == "student" else " c7", "end_of_thinking"

    prompts, found = write_prompts(tmp_path / "p.jsonl", 1), set()
    for chunk in (1, 2, 3, 10):
        pair = [ScriptedBackend(m, ScriptedOptions(chunk=chunk), script=script) for m in "ts"]
        made = crew(TessyPolicy(TessyOptions(start="teacher")), teacher=pair[0], student=pair[1])
        run(plan(tmp_path / f"run{chunk}", prompts, made))
        found.add((tmp_path / f"run{chunk}" / DATA).read_bytes())
    assert len(found) == 1


def test_another_identity_is_refused_and_named(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts, limit=2))
    before = (tmp_path / "run" / DATA).read_bytes()
    with pytest.raises(ConfigError, match=r"seed: was 0, is now 1"):
        run(plan(tmp_path / "run", prompts, seed=1))
    with pytest.raises(ConfigError, match=r"models\.teacher\.options\.think: was 60, is now 61"):
        run(plan(tmp_path / "run", prompts, crew(think=61)))
    assert (tmp_path / "run" / DATA).read_bytes() == before


def test_a_changed_prompt_under_a_known_id_is_refused(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts, limit=2))
    prompts.write_text(prompts.read_text().replace("Question 0?", "Another?"))
    with pytest.raises(ConfigError, match=r"prompts\.jsonl:1: id 'p0' had another prompt"):
        run(plan(tmp_path / "run", prompts))
    assert len(rows(tmp_path / "run")) == 2


def test_a_run_refused_at_the_start_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        run(plan(tmp_path / "run", tmp_path / "missing.jsonl"))
    assert not (tmp_path / "run").exists()


def test_resume_always_and_never(tmp_path: Path, prompts: Path) -> None:
    with pytest.raises(ConfigError, match="no run to resume"):
        run(plan(tmp_path / "run", prompts, resume="always"))
    run(plan(tmp_path / "run", prompts, limit=1, resume="never"))
    with pytest.raises(ConfigError, match="holds a run already"):
        run(plan(tmp_path / "run", prompts, resume="never"))


def test_too_long_a_trace_fails_with_what_was_written(tmp_path: Path, prompts: Path) -> None:
    outcome = run(plan(tmp_path / "run", prompts, limits=Limits(max_length=30), limit=2))
    assert (outcome.done, outcome.failed) == (0, 2)
    for row in rows(tmp_path / "run", "failures.jsonl"):
        assert row["error"]["reason"] == "length"
        assert 28 <= len(row["partial"]["thinking"].split()) <= 32
    assert rows(tmp_path / "run") == []


def test_an_answer_cut_off_by_the_limit_is_no_row(tmp_path: Path, prompts: Path) -> None:
    made = crew(StudentOnly(IsolationOptions()), think=10, answer=50)
    outcome = run(plan(tmp_path / "run", prompts, made, limits=Limits(max_length=40), limit=1))
    assert outcome.failed == 1
    assert rows(tmp_path / "run", "failures.jsonl")[0]["partial"]["answer"]


def test_retry_failed_begins_anew_with_another_seed(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts, limits=Limits(max_length=30), limit=2))
    run(plan(tmp_path / "run", prompts, limits=Limits(max_length=30), limit=2, retry_failed=True))
    assert [r["error"]["attempt"] for r in rows(tmp_path / "run", "failures.jsonl")] == [1, 1]
    outcome = run(plan(tmp_path / "run", prompts, limit=2, retry_failed=True))
    assert (outcome.done, outcome.failed) == (2, 0)
    assert rows(tmp_path / "run", "failures.jsonl") == []
    # What was dropped is paid for, and no part of the data.
    with closing(sqlite3.connect(tmp_path / "run" / "journal.sqlite")) as db:
        (kept,) = db.execute("SELECT sum(kept) FROM usage").fetchone()
        assert kept == db.execute("SELECT sum(tokens) FROM spans").fetchone()[0]


@pytest.mark.parametrize(("on_eos", "done"), [("fail", 0), ("answer", 2)])
def test_an_end_of_turn_inside_the_thinking(tmp_path: Path, prompts: Path, on_eos: str, done: int) -> None:
    made = crew(TessyPolicy(TessyOptions(on_eos=on_eos)), ends="turn")  # type: ignore[arg-type]
    outcome = run(plan(tmp_path / "run", prompts, made, limit=2))
    assert outcome.done == done
    for row in rows(tmp_path / "run", "failures.jsonl"):
        assert row["error"]["reason"] == "ended_in_thinking"


def test_a_model_that_never_writes_ends_its_trajectory(tmp_path: Path, prompts: Path) -> None:
    mute = ScriptedBackend("mute", ScriptedOptions(), script=lambda prompt, request: ("", "length"))
    outcome = run(plan(tmp_path / "run", prompts, crew(student=mute, teacher=mute), limit=1))
    assert outcome.failed == 1
    assert rows(tmp_path / "run", "failures.jsonl")[0]["error"]["reason"] == "no_progress"


def test_an_empty_prompt_file_limit_zero_and_equal_prompts(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "same"}\n{"prompt": "same"}\n\n{"prompt": "other"}\n')
    assert run(plan(tmp_path / "run", path)).done == 3
    assert len({row["id"] for row in rows(tmp_path / "run")}) == 3
    path.write_text("")
    with pytest.raises(ConfigError, match="no prompts"):
        run(plan(tmp_path / "run2", path))


class Dying(ScriptedBackend):
    """Goes out of service after so many streams."""

    left = 20

    def session(self, prompt: Prompt, key: str) -> Session:
        session, backend = super().session(prompt, key), self

        class Checked(Session):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                backend.left -= 1
                if backend.left < 0:
                    raise BackendDown("scripted:teacher: nothing has worked for 600 seconds")
                async with aclosing(session.generate(request)) as chunks:
                    async for chunk in chunks:
                        yield chunk

        return Checked()


def test_a_backend_that_is_down_ends_the_run_and_fails_no_row(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "whole", prompts))
    with pytest.raises(BackendDown, match="600 seconds"):
        run(plan(tmp_path / "run", prompts, crew(teacher=Dying("teacher"))))
    assert rows(tmp_path / "run", "failures.jsonl") == []
    outcome = run(plan(tmp_path / "run", prompts))
    assert (outcome.done, outcome.failed) == (12, 0)
    assert (tmp_path / "run" / DATA).read_bytes() == (tmp_path / "whole" / DATA).read_bytes()
