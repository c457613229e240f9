"""A service that cannot continue writes thinking and answer in one stream: what becomes of the answer."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

from aiohttp import web

from helpers import booked, rows, write_prompts
from openai_backend.asking import QUESTION, make, read, request, span, text_of
from openai_standin import ANSWER, THINKING, Service, serving
from tessy.abc import Context, Session, SwitchPolicy
from tessy.boundary import Origin
from tessy.crew import Crew
from tessy.errors import TraceError
from tessy.execution import execute
from tessy.observer import Observer
from tessy.plan import Outcome, Plan
from tessy.policies.isolation import IsolationOptions
from tessy.policies.solo import TeacherOnly
from tessy.policies.teacher_think import TeacherThink
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.trajectory import Trajectory
from tessy.types import Chunk, Done, Prepared, Prompt, Request, Turn
from tessy_openai.backend import OpenAIBackend

LONG = " ".join(f"a{n}" for n in range(5000))
"""An answer that is not to be written to its end."""


async def written(
    folder: Path,
    teacher: OpenAIBackend,
    policy: SwitchPolicy,
    student: ScriptedBackend | None = None,
    *,
    count: int = 2,
) -> Outcome:
    pair = {"teacher": teacher, "student": student or ScriptedBackend("s", ScriptedOptions(think=8))}
    crew = Crew(
        policy,
        Origin("policy", "it"),
        {role: pair[role] for role in policy.needs.roles},
        {role: Origin("backend", role) for role in policy.needs.roles},
        None,
        lambda capabilities: [],
    )
    prompts = write_prompts(folder / "prompts.jsonl", count)
    made = Plan(str(prompts), folder / "run", crew, "it", {}, concurrency=count)
    return await execute(made, Observer())


def of_teacher(folder: Path) -> list[tuple[Any, ...]]:
    """Turn, purpose, prompt, generated, kept, marks, discarded, requests of what the teacher has cost."""
    with closing(sqlite3.connect(folder / "run" / "journal.sqlite")) as db:
        return db.execute(
            "SELECT turn, purpose, prompt, generated, kept, marks, discarded, requests, estimated "
            "FROM usage WHERE role = 'teacher'"
        ).fetchall()


async def test_an_answer_that_nobody_reads_is_aborted_and_booked(tmp_path: Path) -> None:
    async with serving(long_winded()) as service:
        async with asyncio.timeout(60):
            outcome = await written(tmp_path, make(service, continuation="none"), TeacherThink(options()))
        assert (outcome.done, outcome.failed) == (2, 0)
        assert service.written < 2000, "of 10,000 tokens and more"
    found = of_teacher(tmp_path)
    assert sum(row[7] for row in found) == sum(row[8] for row in found) == 2, "both prompts are estimated"
    assert all(turn == 0 for turn, *_ in found), "the answer that was not read belongs to the thinking"
    discarded = [row for row in found if row[6]]
    assert len(discarded) == 2
    for _, purpose, prompt, generated, kept, marks, lost, *_ in discarded:
        assert (purpose, kept, marks) == ("turn", 0, 0)
        assert prompt > 0
        assert generated == lost == 1, "the word that came with the end of the thinking"
    all_ = booked(tmp_path / "run")
    assert all_["generated"] == all_["kept"] + all_["marks"] + all_["discarded"]


class Together(ScriptedBackend):
    """Its model says nothing before so many ask it."""

    def __init__(self, count: int) -> None:
        super().__init__("s", ScriptedOptions(think=8))
        self.waiting, self.count, self.come = 0, count, asyncio.Event()

    def session(self, prompt: Prompt, key: str) -> Session:
        backend, inner = self, super().session(prompt, key)

        class Patient(Session):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                backend.waiting += 1
                if backend.waiting == backend.count:
                    backend.come.set()
                await backend.come.wait()
                async with aclosing(inner.generate(request)) as chunks:
                    async for chunk in chunks:
                        yield chunk

        return Patient()


async def test_it_keeps_no_place_from_others(tmp_path: Path) -> None:
    """Two traces with one place at the teacher's: both come to the student's answer."""
    async with serving(long_winded()) as service:
        teacher = make(service, continuation="none", max_concurrency=1)
        async with asyncio.timeout(60):
            outcome = await written(tmp_path, teacher, TeacherThink(options()), Together(2))
        assert (outcome.done, outcome.failed) == (2, 0)


class Stops(TeacherOnly):
    """Gives up once there is a thinking."""

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        if trajectory.turns:
            raise TraceError("enough", "it has seen enough")
        return super().next_turn(trajectory)


async def test_a_trace_that_ends_between_the_two_is_booked_whole(tmp_path: Path) -> None:
    async with serving(long_winded()) as service:
        outcome = await written(tmp_path, make(service, continuation="none"), Stops(options()), count=1)
        assert (outcome.done, outcome.failed) == (0, 1)
        assert rows(tmp_path / "run", "failures.jsonl")[0]["error"]["reason"] == "enough"
    found = of_teacher(tmp_path)
    assert sum(row[2] for row in found) > 0, "its prompt"
    assert sum(row[7] for row in found) == 1


class Looks(TeacherThink):
    """Has the teacher think before anything is written, and only looks at it."""

    async def prepare(self, prompt: Prompt, context: Context) -> Prepared:
        chunks = await context.draft(Turn("teacher", "think"))
        assert text_of(list(chunks)) == THINKING
        return await super().prepare(prompt, context)


async def test_a_draft_that_is_only_looked_at_is_aborted_and_booked(tmp_path: Path) -> None:
    """The one place would be held until the row is prepared; and a later answer could be that draft's."""
    async with serving(long_winded()) as service:
        teacher = make(service, continuation="none")
        async with asyncio.timeout(60):
            outcome = await written(tmp_path, teacher, Looks(options()), count=1)
        assert (outcome.done, outcome.failed) == (1, 0)
    drafts = [row for row in of_teacher(tmp_path) if row[1] == "draft"]
    assert sum(row[2] for row in drafts) > 0, "its prompt"
    assert sum(row[7] for row in drafts) == 1
    assert all(row[3] == row[6] for row in drafts), "nothing of it is kept"


async def test_a_session_that_was_halted_can_be_asked_again() -> None:
    async with serving(Service("groq")) as service:
        backend = make(service, continuation="none")
        await backend.start()
        session = backend.session(QUESTION, "k")
        assert text_of(await read(session, request())) == THINKING
        before = session.usage()
        for _ in range(2):
            await session.halt()
        after = session.usage()
        assert before is not None
        assert after is not None
        assert (after.prompt - before.prompt > 0, after.generated - before.generated) == (True, 1)
        assert text_of(await read(session, request())) == THINKING
        answer = await read(session, request("answer", span(THINKING, author="teacher")))
        assert text_of(answer) == ANSWER
        await session.close()
        await backend.close()


async def test_the_answer_has_the_limit_of_its_own_turn() -> None:
    """The request has been sent for the thinking, whose limit is another."""
    async with serving(long_winded()) as service:
        backend = make(service, continuation="none")
        await backend.start()
        session = backend.session(QUESTION, "k")
        await read(session, request())
        chunks = await read(session, request("answer", span(THINKING, author="teacher"), max_tokens=7))
        assert text_of(chunks) == "a0 a1 a2 a3 a4 a5 a6"
        assert chunks[-1].finish == "length"
        await session.close()
        await backend.close()


def options() -> IsolationOptions:
    return IsolationOptions()


def long_winded() -> Service:
    """A service that takes seconds to write its answer to the end."""
    service = Service("groq", delay=0.001)

    async def chat(asked: web.Request) -> web.StreamResponse:
        body = await service._body(asked)
        return await service._stream(asked, body, service._chat_events(THINKING, LONG))

    service.chat = chat  # type: ignore[method-assign]
    return service
