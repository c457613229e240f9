"""What a policy has a model rate meets with faults, over real sockets: it is asked again, as a turn is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from faultproxy import WAITS, Fault, FaultProxy
from helpers import Plain, crew, plan, rows, write_prompts
from tessy.abc import Backend, Context, Session
from tessy.attempts import RETRIES
from tessy.execution import execute
from tessy.observer import Observer
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.testing.simulated import SimulatedServer
from tessy.types import Chunk, Cut, Keep, Needs, Prompt, Request, Scores
from tessy_vllm.backend import VllmBackend
from tessy_vllm.http import Http
from tessy_vllm.options import VllmOptions

PATH = "/v1/completions"
BY_NAME = {fault.name: fault for fault in WAITS}


class Scored(Plain):
    """Has the teacher rate one draft of the row."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Scores] = []

    @property
    def needs(self) -> Needs:
        return Needs(roles=("teacher", "student"), scores=("teacher",))

    async def review(self, draft: Any, context: Context) -> Keep | Cut:
        if not self.found:
            self.found.append(await context.score("teacher", draft.text, top=1))
        return Keep()


class Bare(ScriptedBackend):
    """Rates with one request, and leaves what goes wrong with it to the core."""

    http: Http
    url: str

    def session(self, prompt: Prompt, key: str) -> Session:
        outer = self

        class Rates(Session):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                raise AssertionError("it only rates")
                yield Chunk()

            async def score(self, request: Request, text: str, *, top: int = 0) -> Scores:
                body = {"model": "model", "prompt": text, "max_tokens": 1, "prompt_logprobs": 1}
                answer = await outer.http.post(f"{outer.url}{PATH}", body)
                assert answer["choices"]
                return Scores((), ())

        return Rates()


@asynccontextmanager
async def proxied(folder: Path) -> AsyncIterator[FaultProxy]:
    server = SimulatedServer("model", folder)
    async with FaultProxy(await server.start()) as proxy:
        try:
            yield proxy
        finally:
            await server.stop()


async def write(folder: Path, teacher: Backend) -> tuple[Scored, tuple[int, int]]:
    policy = Scored()
    made = crew(policy, teacher=teacher, think=20)  # type: ignore[arg-type]
    prompts = write_prompts(folder / "prompts.jsonl", 1)
    outcome = await execute(plan(folder / "run", prompts, made), Observer())
    return policy, (outcome.done, outcome.failed)


@pytest.mark.parametrize("fault", WAITS, ids=lambda fault: fault.name)
async def test_a_server_is_asked_again(fault: Fault, tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        proxy.others[PATH] = [fault]
        teacher = VllmBackend("model", VllmOptions(first_token_timeout=1.5), url=proxy.url)
        policy, outcome = await write(tmp_path, teacher)
        assert outcome == (1, 0)
        assert len(policy.found[0].logprobs) > 5
        assert proxy.struck == {fault.name: 1}


@pytest.mark.parametrize(
    ("name", "times", "outcome", "asked"),
    [
        ("503", RETRIES, (1, 0), RETRIES + 1),
        ("503", RETRIES + 1, (0, 1), RETRIES + 1),
        ("HTML with 200", 1, (1, 0), 2),
        ("reset after the head", 2, (1, 0), 3),
    ],
)
async def test_so_is_a_backend_that_does_not_ask_again_itself(
    name: str, times: int, outcome: tuple[int, int], asked: int, tmp_path: Path
) -> None:
    async with proxied(tmp_path) as proxy:
        proxy.others[PATH] = [BY_NAME[name]] * times
        teacher = Bare("teacher", ScriptedOptions(), odds=lambda so_far, word: {word: 1.0})
        teacher.url, teacher.http = proxy.url, Http(VllmOptions(), what="bare", streams=1)
        await teacher.http.open()
        try:
            _, found = await write(tmp_path, teacher)
        finally:
            await teacher.http.close()
        assert found == outcome
        assert proxy.asked[PATH] == asked
        if found == (0, 1):
            (failure,) = rows(tmp_path / "run", "failures.jsonl")
            assert "503" in str(failure)


async def test_what_is_refused_is_not_asked_again(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        teacher = Bare("teacher", ScriptedOptions(), odds=lambda so_far, word: {word: 1.0})
        teacher.url, teacher.http = f"{proxy.url}/nowhere", Http(VllmOptions(), what="bare", streams=1)
        await teacher.http.open()
        try:
            assert (await write(tmp_path, teacher))[1] == (0, 1)
        finally:
            await teacher.http.close()
        assert proxy.asked[f"/nowhere{PATH}"] == 1
