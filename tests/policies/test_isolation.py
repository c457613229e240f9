from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from helpers import crew, plan, rows, run
from tessy.policies.isolation import IsolationOptions
from tessy.policies.solo import StudentOnly
from tessy.policies.teacher_think import TeacherThink
from tessy.testing import ScriptedBackend
from tessy.testing.scripted import plan_script
from tessy.types import Finish, Prompt, Request


class Listening(ScriptedBackend):
    """Remembers the system prompts that it was shown; ``None`` where there was none."""

    def __init__(self, model: str) -> None:
        plain = plan_script(model, self.Options())
        self.heard: set[str | None] = set()

        def script(prompt: Prompt, request: Request) -> tuple[Any, Finish]:
            first = prompt.messages[0]
            self.heard.add(first.content if first.role == "system" else None)
            return plain(prompt, request)

        super().__init__(model, script=script)


@pytest.mark.parametrize(
    ("system_for", "teacher", "student"),
    [("row", None, None), ("student", None, "New."), ("teacher", "New.", None), ("all", "New.", "New.")],
)
def test_who_sees_the_system_prompt(
    tmp_path: Path, system_for: Any, teacher: str | None, student: str | None
) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "One?"}\n')
    made = TeacherThink(IsolationOptions(system="New.", system_for=system_for))
    pair = {role: Listening(role) for role in ("teacher", "student")}
    run(plan(tmp_path / "run", tmp_path / "p.jsonl", crew(made, **pair)))
    assert pair["teacher"].heard == {teacher}
    assert pair["student"].heard == {student}
    (row,) = rows(tmp_path / "run")
    assert row["messages"][:-1] == [
        {"role": "system", "content": "New."},
        {"role": "user", "content": "One?"},
    ]


def test_it_stands_before_a_system_prompt_of_the_rows_own(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(
        '{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "One?"}]}\n'
    )
    student = Listening("student")
    made = StudentOnly(IsolationOptions(system="New.", system_for="student"))
    run(plan(tmp_path / "run", tmp_path / "p.jsonl", crew(made, student=student)))
    (row,) = rows(tmp_path / "run")
    assert [m["role"] for m in row["messages"]] == ["system", "user", "assistant"]
    assert row["messages"][0]["content"] == "New.\n\nBe brief."
    assert student.heard == {"New.\n\nBe brief."}


def test_contradictory_options_are_refused() -> None:
    with pytest.raises(ValidationError, match="system_for=student needs a system prompt"):
        IsolationOptions(system_for="student")
    with pytest.raises(ValidationError, match="system is blank"):
        IsolationOptions(system=" \n")
