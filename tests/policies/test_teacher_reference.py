from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from helpers import check_row, crew, plan, rows, run
from tessy.crew import Crew
from tessy.policies.teacher_reference import TeacherReference, TeacherReferenceOptions
from tessy.testing import ScriptedBackend
from tessy.types import Finish, Message, Prompt, Request

MESSAGES = (Message("system", "Be brief."), Message("user", "Hi."), Message("assistant", "Hello."))


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "p.jsonl"
    path.write_text(
        '{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi."}, '
        '{"role": "assistant", "content": "Hello."}, {"role": "user", "content": "What is {reference}?"}]}\n'
    )
    return path


class Cast:
    """A scripted pair that remembers what it was shown."""

    def __init__(self, reference: str = "  It is {prompt}, of course.\n", **options: Any) -> None:
        self.asked: list[tuple[Prompt, Request]] = []
        self.shown: list[Prompt] = []
        self.reference = reference
        self.policy = TeacherReference(TeacherReferenceOptions(**options))

    def crew(self) -> Crew:
        def teach(prompt: Prompt, request: Request) -> tuple[str, Finish]:
            self.asked.append((prompt, request))
            if request.turn.phase == "think":
                return " I know it.", "end_of_thinking"
            return self.reference, "end_of_turn"

        def study(prompt: Prompt, request: Request) -> tuple[str, Finish]:
            self.shown.append(prompt)
            return (" Hmm.", "end_of_thinking") if request.turn.phase == "think" else (" So.", "end_of_turn")

        return crew(
            self.policy,
            teacher=ScriptedBackend("teacher", script=teach),
            student=ScriptedBackend("student", script=study),
        )


def test_the_student_writes_with_the_reference_before_its_eyes(tmp_path: Path, prompts: Path) -> None:
    cast = Cast()
    assert run(plan(tmp_path / "run", prompts, cast.crew())).done == 1
    (row,) = rows(tmp_path / "run")
    check_row(row)
    assert row["messages"][-1]["content"] == "<think>\n Hmm.\n</think>\n\n So."
    assert {span["author"] for span in row["tessy"]["spans"]} == {"student"}
    # The prompt stands in the row as it was, and the reference beside it.
    assert row["messages"][-2] == {"role": "user", "content": "What is {reference}?"}
    assert row["tessy"]["prepared"] == {"reference": "It is {prompt}, of course."}
    # The teacher was shown the prompt as it was, and thought first.
    original = Prompt((*MESSAGES, Message("user", "What is {reference}?")))
    assert {prompt for prompt, _ in cast.asked} == {original}
    assert [request.turn.phase for _, request in cast.asked] == ["think", "answer"]
    assert cast.asked[1][1].thinking == " I know it."
    # The student was shown both, in its last message; what looks like a place in them is none.
    assert {prompt.messages[:-1] for prompt in cast.shown} == {MESSAGES}
    (last,) = {prompt.messages[-1] for prompt in cast.shown}
    assert last.role == "user"
    assert last.content.startswith("What is {reference}?\n")
    assert "\nIt is {prompt}, of course.\n" in last.content
    assert "I know it." not in last.content


def test_the_template_and_the_teachers_thinking_are_options(tmp_path: Path, prompts: Path) -> None:
    cast = Cast(think=False, max_tokens=6, template="{reference} \\frac{1}{2} {prompt}")
    assert run(plan(tmp_path / "run", prompts, cast.crew())).done == 1
    ((_, request),) = cast.asked
    assert (request.turn.phase, request.turn.max_tokens) == ("answer", 6)
    assert {prompt.messages[-1].content for prompt in cast.shown} == {
        "It is {prompt}, of course. \\frac{1}{2} What is {reference}?"
    }


def test_what_the_reference_cost_is_booked_as_such(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts, Cast().crew()))
    db = sqlite3.connect(tmp_path / "run" / "journal.sqlite")
    booked = db.execute("SELECT role, purpose, sum(generated) FROM usage GROUP BY 1, 2 ORDER BY 1").fetchall()
    db.close()
    assert booked == [("student", "turn", 2), ("teacher", "reference", 8)]


@pytest.mark.parametrize(
    ("reference", "options", "says"),
    [
        (" \n", {}, "reference is empty"),
        ("one two three", {"max_tokens": 2}, r"was cut off \(length\): 'one two'"),
    ],
)
def test_without_a_whole_reference_there_is_no_row_until_there_is_one(
    tmp_path: Path, prompts: Path, reference: str, options: dict[str, Any], says: str
) -> None:
    cast = Cast(reference, **options)
    assert run(plan(tmp_path / "run", prompts, cast.crew())).failed == 1
    (row,) = rows(tmp_path / "run", "failures.jsonl")
    assert row["error"]["reason"] == "no_reference"
    assert re.search(says, row["error"]["message"])
    assert cast.shown == []
    cast.reference = "fine"
    assert run(plan(tmp_path / "run", prompts, cast.crew(), retry_failed=True)).done == 1


def test_a_reference_is_bought_once(tmp_path: Path, prompts: Path) -> None:
    cast = Cast(on_eos="fail")
    run(plan(tmp_path / "run", prompts, cast.crew()))
    bought = len(cast.asked)
    db = sqlite3.connect(tmp_path / "run" / "journal.sqlite")
    with db:
        db.execute("DELETE FROM spans")
        db.execute("DELETE FROM turns")
        db.execute("UPDATE rows SET status = 'pending'")
    db.close()
    before = (tmp_path / "run" / "data.jsonl").read_bytes()
    assert run(plan(tmp_path / "run", prompts, cast.crew())).done == 1
    assert len(cast.asked) == bought
    assert (tmp_path / "run" / "data.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("template", "missing"),
    [("Solve {prompt}.", "reference"), ("See {reference}.", "prompt"), ("", "prompt")],
)
def test_a_template_without_a_place_is_refused(template: str, missing: str) -> None:
    with pytest.raises(
        ValidationError, match=rf"has no {{{missing}}}; it needs {{prompt}} and {{reference}}"
    ):
        TeacherReferenceOptions(template=template)
