"""Several candidates a row: written one after the other, one selected, the choice journaled."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from helpers import check_row, crew, plan, rows, run, write_prompts
from tessy.abc import Context, Options, Session, SwitchPolicy
from tessy.errors import BackendUnavailable
from tessy.execution import execute
from tessy.observer import Observer
from tessy.testing import ScriptedBackend, VirtualTimeLoop
from tessy.trajectory import Trajectory
from tessy.types import Chunk, Done, Needs, Prompt, Request, Selected, Span, Turn


class Best(SwitchPolicy):
    """The student writes three candidates; the teacher's first word decides nothing: the last is taken."""

    keep = False

    def __init__(self) -> None:
        super().__init__(Options())
        self.asked: list[list[int]] = []

    @property
    def needs(self) -> Needs:
        return Needs(continues=())

    @property
    def candidates(self) -> int:
        return 3

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        if trajectory.ended == "end_of_turn":
            return Done()
        return Turn("student", trajectory.phase)

    async def select(self, trajectories: Sequence[Trajectory], context: Context) -> Selected:
        self.asked.append([t.candidate for t in trajectories])
        reply = await context.ask("teacher", context.prompt.messages, max_tokens=2)
        assert reply.finish == "length"
        return Selected(trajectories[-1].candidate, {"said": reply.text}, keep_others=self.keep)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", 2)


def query(tmp_path: Path, sql: str) -> list[Any]:
    db = sqlite3.connect(tmp_path / "run" / "journal.sqlite")
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_the_selected_candidate_becomes_the_row(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts, crew(Best())))
    found = rows(tmp_path / "run")
    assert len(found) == 2
    for row in found:
        check_row(row)
        assert row["tessy"]["selected"]["candidate"] == 2
        assert len(row["tessy"]["selected"]["note"]["said"].split()) == 2
        assert "candidates" not in row["tessy"]
    texts = query(tmp_path, "SELECT candidate, group_concat(text, '') FROM spans WHERE row = 1 GROUP BY 1")
    assert len({text for _, text in texts}) == 3, "each candidate has a seed of its own"
    booked = dict(query(tmp_path, "SELECT purpose, sum(kept) FROM usage GROUP BY purpose"))
    kept = sum(sum(row["tessy"]["tokens"].values()) for row in found)
    assert booked == {"turn": kept, "candidate": 0, "judge": 0}
    spent = dict(query(tmp_path, "SELECT purpose, sum(generated) FROM usage GROUP BY purpose"))
    assert spent["candidate"] > spent["turn"]
    assert spent["judge"] == 4


def test_the_others_are_shown_on_request(tmp_path: Path, prompts: Path) -> None:
    policy = Best()
    policy.keep = True
    run(plan(tmp_path / "run", prompts, crew(policy)))
    for row in rows(tmp_path / "run"):
        others = row["tessy"]["candidates"]
        assert [other["candidate"] for other in others] == [0, 1]
        for other in others:
            check_row({"messages": [{"content": other["content"]}], "tessy": other})


def test_a_candidate_that_fails_leaves_the_others(tmp_path: Path, prompts: Path) -> None:
    class Stumbles(Best):
        def next_turn(self, trajectory: Trajectory) -> Turn | Done:
            if trajectory.candidate == 1:
                raise KeyError("one")
            return super().next_turn(trajectory)

    policy = Stumbles()
    assert run(plan(tmp_path / "run", prompts, crew(policy))).failed == 0
    assert policy.asked == [[0, 2], [0, 2]]
    assert query(tmp_path, "SELECT row, candidate, reason FROM given_up") == [
        (1, 1, "plugin"),
        (2, 1, "plugin"),
    ]


def test_a_row_fails_when_all_candidates_do(tmp_path: Path, prompts: Path) -> None:
    class Fails(Best):
        def next_turn(self, trajectory: Trajectory) -> Turn | Done:
            if trajectory.spans:
                raise KeyError(f"candidate {trajectory.candidate}")
            return super().next_turn(trajectory)

    assert run(plan(tmp_path / "run", prompts, crew(Fails()))).failed == 2
    failed = rows(tmp_path / "run", "failures.jsonl")[0]
    assert failed["error"]["reason"] == "plugin"
    assert "candidate 0" in failed["error"]["message"]
    assert failed["partial"]["thinking"]


@pytest.mark.parametrize("chosen", [Selected(7), Selected(0, object()), 1, None])
def test_a_selection_that_is_none_fails_its_row(tmp_path: Path, prompts: Path, chosen: Any) -> None:
    class Odd(Best):
        async def select(self, trajectories: Sequence[Trajectory], context: Context) -> Selected:
            return chosen  # type: ignore[no-any-return]

    assert run(plan(tmp_path / "run", prompts, crew(Odd()))).failed == 2
    failed = rows(tmp_path / "run", "failures.jsonl")[0]
    assert "policy 'Odd'" in failed["error"]["message"]
    assert failed["partial"]["answer"], "what was written is kept"


@pytest.mark.parametrize("count", [0, -1, 2.5, "3", None])
def test_an_impossible_number_of_candidates_fails(tmp_path: Path, prompts: Path, count: Any) -> None:
    class Odd(Best):
        @property
        def candidates(self) -> int:
            return count  # type: ignore[no-any-return]

    assert run(plan(tmp_path / "run", prompts, crew(Odd()))).failed == 2
    assert "candidates must be" in rows(tmp_path / "run", "failures.jsonl")[0]["error"]["message"]


def test_resumed_anywhere_the_rows_are_the_same(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "whole", prompts, crew(Best())))

    class Stop(Observer):
        def __init__(self, after: int) -> None:
            self.left = after

        def committed(self, row: str, span: Span) -> None:
            self.left -= 1
            if self.left == 0:
                assert task is not None
                task.cancel()

    policy = Best()
    for after in (1, 2, 3, 4, 5, 7):
        task: asyncio.Task[Any] | None = None

        async def go(after: int = after) -> None:
            nonlocal task
            task = asyncio.ensure_future(
                execute(plan(tmp_path / "run", prompts, crew(policy), concurrency=1), Stop(after))
            )
            await asyncio.wait([task])

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(go())
    run(plan(tmp_path / "run", prompts, crew(policy)))
    assert (tmp_path / "run" / "data.jsonl").read_bytes() == (tmp_path / "whole" / "data.jsonl").read_bytes()


def test_a_journal_of_the_first_format_is_brought_along(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts, crew()))
    before = (tmp_path / "run" / "data.jsonl").read_bytes()
    db = sqlite3.connect(tmp_path / "run" / "journal.sqlite")
    db.executescript(
        "ALTER TABLE rows DROP COLUMN selected; DROP TABLE given_up; "
        "ALTER TABLE usage DROP COLUMN estimated; ALTER TABLE rows DROP COLUMN line; "
        "UPDATE meta SET value = '1' WHERE key = 'version'; UPDATE rows SET status = 'pending';"
    )
    db.close()
    student = ScriptedBackend("student")
    assert run(plan(tmp_path / "run", prompts, crew(student=student))).done == 2
    assert (tmp_path / "run" / "data.jsonl").read_bytes() == before


class Busy(ScriptedBackend):
    """Every request fails, once."""

    def session(self, prompt: Prompt, key: str) -> Session:
        session, failed = super().session(prompt, key), set[int]()

        class Checked(Session):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                async with aclosing(session.generate(request)) as chunks:
                    async for chunk in chunks:
                        if request.seed not in failed:
                            failed.add(request.seed)
                            raise BackendUnavailable("busy")
                        yield chunk

            async def close(self) -> None:
                await session.close()

        return Checked()


def test_what_a_policy_asks_is_asked_again_after_a_failure_of_a_moment(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "calm", prompts, crew(Best())))
    run(plan(tmp_path / "run", prompts, crew(Best(), teacher=Busy("teacher"))))
    assert rows(tmp_path / "run") == rows(tmp_path / "calm")
    assert query(tmp_path, "SELECT count(*) FROM usage WHERE purpose = 'judge'") == [(4,)]
