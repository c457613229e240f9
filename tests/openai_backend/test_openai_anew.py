"""Rows that a service cannot go on with begin anew when they are tried again."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest

from helpers import plan, rows, write_prompts
from openai_backend.asking import make
from openai_backend.test_openai_faults import event, raw
from openai_standin import ANSWER, Service, serving
from tessy.boundary import Origin
from tessy.crew import Crew
from tessy.execution import execute
from tessy.observer import Observer
from tessy.plan import Outcome
from tessy.policies.isolation import IsolationOptions
from tessy.policies.solo import TeacherOnly

THINKING = [event(content=text) for text in ("<think>\n", *(f"Word {i}.\n\n" for i in range(9)))]


@pytest.mark.parametrize(
    ("continuation", "thinking", "reason"),
    [
        ("none", THINKING, "continuation_unsupported"),
        ("prefix", [*THINKING, event(content="So: <|im_end|> it is.\n\n And"), *THINKING[1:]], "unsafe_text"),
    ],
)
async def test_a_row_that_cannot_be_gone_on_with_begins_anew(
    tmp_path: Path, continuation: str, thinking: list[bytes], reason: str
) -> None:
    async with serving(Service("groq")) as service:
        prompts = write_prompts(tmp_path / "p.jsonl", 1)

        async def run(*, retry_failed: bool) -> Outcome:
            backend = make(service, continuation=continuation)
            policy = TeacherOnly(IsolationOptions(system=None))
            crew = Crew(
                policy, Origin("policy", "t"), {"teacher": backend}, {"teacher": Origin("backend", "o")}, None
            )

            class Breaks(Observer):
                def admitted(self, row: str) -> None:
                    service.faults = [] if retry_failed else [raw(*thinking)]

            return await execute(plan(tmp_path / "run", prompts, crew, retry_failed=retry_failed), Breaks())

        with patch("tessy.writer.BLOCK", 3):
            assert (await run(retry_failed=False)).failed == 1
            (failed,) = rows(tmp_path / "run", "failures.jsonl")
            assert failed["error"]["reason"] == reason
            assert (await run(retry_failed=True)).done == 1
        (row,) = rows(tmp_path / "run")
        assert row["messages"][-1]["content"].endswith(ANSWER)
        assert "Word" not in row["messages"][-1]["content"]
