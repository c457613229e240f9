"""RelayLLM: the teacher writes as many tokens as the student asks for, and the command is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripting import model, notes, says, shown, write_one
from tessy_cooperation.relayllm import RelayLlmOptions, RelayLlmPolicy


def policy(**options: Any) -> RelayLlmPolicy:
    return RelayLlmPolicy(RelayLlmOptions(**options))


def test_the_cut_is_before_the_command(tmp_path: Path) -> None:
    asked: list[int | None] = []

    def script(prompt: Any, request: Any) -> Any:
        asked.append(request.turn.max_tokens)
        return says({" I think": " it is 8 surely because"})(prompt, request)

    student = model(
        "student",
        says({"": " I think <call> 4 </call> so on", " I think it is 8": " then."}),
    )
    trace = write_one(tmp_path / "run", policy(), model("teacher", script), student)
    # Four tokens; the last word, which the limit may have cut in half, is left to the student.
    assert shown(trace) == [("student", " I think"), ("teacher", " it is 8"), ("student", " then.")]
    assert notes(trace)[0] == {"call": 4}
    assert asked == [4]


@pytest.mark.parametrize("text", [" No <call></call> here", " No <call>x</call> here", " No </call> here"])
def test_what_is_no_command_is_text(tmp_path: Path, text: str) -> None:
    student = model("student", says(text))
    trace = write_one(tmp_path / "run", policy(), model("teacher", says({})), student)
    assert "".join(t for _, t in shown(trace)) == text
    assert {role for role, _ in shown(trace)} == {"student"}


def test_a_call_for_nothing_is_cut_out_and_the_student_goes_on(tmp_path: Path) -> None:
    student = model("student", says({"": " I think <call>0</call>", " I think": " it is 8."}))
    trace = write_one(tmp_path / "run", policy(), model("teacher", says({})), student)
    assert shown(trace) == [("student", " I think"), ("student", " it is 8.")]


@pytest.mark.parametrize("cut", range(1, 15))
def test_a_command_across_two_pieces_is_found(tmp_path: Path, cut: int) -> None:
    """A piece of 16 tokens ends inside the command, which comes again as a whole."""
    command = "<call>12</call>"
    words = [f" w{i}" for i in range(15)]

    def script(prompt: Any, request: Any) -> Any:
        so_far = request.thinking
        if request.turn.phase == "answer":
            return " done", "end_of_turn"
        if so_far == "":
            return [*words, " " + command[:cut], command[cut:]], "end_of_thinking"
        if so_far == "".join(words) + " ":
            return [command, " never"], "end_of_thinking"
        return [" end."], "end_of_thinking"

    teacher = model("teacher", says({"".join(words): " help.", "".join(words) + " ": "help."}))
    trace = write_one(tmp_path / "run", policy(piece=16), teacher, model("student", script))
    text = "".join(t for _, t in shown(trace))
    assert "call" not in text
    assert ("teacher", "help.") in [(role, t.strip()) for role, t in shown(trace)]
    assert text.split()[:15] == "".join(words).split()
