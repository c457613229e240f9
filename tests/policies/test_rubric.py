from __future__ import annotations

import pytest
from pydantic import ValidationError

from tessy.policies.rubric import JudgingOptions, Rubric
from tessy.trajectory import Trajectory
from tessy.types import Message, Prompt, Span


def trace(prompt: Prompt | None = None) -> Trajectory:
    spans = [Span("student", "think", " Let me see.", 0, 3), Span("student", "answer", "{score}", 1, 1)]
    return Trajectory(prompt or Prompt.user("What is {answer}?"), row="r", spans=spans)


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("Score: 7", 7),
        ("A slip in step two.\n\nScore: 10\n", 10),
        ("score:1", 1),
        ("**Score:** 8", 8),
        ("`Score: 8`  ", 8),
        ("Score: 3\nScore: 4", 4),
        ("", None),
        (" \n", None),
        ("Score: 0", None),
        ("Score: 11", None),
        ("Score: -3", None),
        ("Score: 7.5", None),
        ("Score: 7/10", None),
        ("Score: seven", None),
        ("Score: N", None),
        ("8", None),
        ("I give it Score: 8", None),
        ("Score: 8\nBut then again, no.", None),
        ("Score: 8 Score: 9", None),
        ("Score: \u0668", None),
    ],
)
def test_a_score_is_read_from_the_last_line_or_not_at_all(reply: str, score: int | None) -> None:
    assert Rubric().read(reply) == score


@pytest.mark.parametrize(
    ("form", "reply", "score"),
    [
        ("{score}", "9", 9),
        ("{score}", "9 points", None),
        ("Note : {score} / 10 (sur 10)", "note : 6 / 10 (sur 10)", 6),
        ("**{score}** points", "6 points", 6),
        ("評分:{score}分", "評分:5分", 5),
        (r"\boxed{{score}}", r"\boxed{5}", 5),
    ],
)
def test_the_form_of_the_last_line_is_the_rubrics_own(form: str, reply: str, score: int | None) -> None:
    assert Rubric(f"{{answer}}\n  {form}\nThat is all.").read(reply) == score


def test_the_judge_sees_prompt_thinking_and_answer_as_they_are() -> None:
    asked = Rubric("{prompt}|{thinking}|{answer}|{json: [1]}|Score: {score}").question(trace())
    assert asked == "What is {answer}?| Let me see.|{score}|{json: [1]}|Score: N"


def test_a_conversation_is_shown_with_its_roles() -> None:
    prompt = Prompt((Message("system", "Be brief."), Message("user", "One?")))
    asked = Rubric("{prompt}\n{answer}\n{score}").question(trace(prompt))
    assert asked == "[system]\nBe brief.\n\n[user]\nOne?\n{score}\nN"


def test_the_default_shows_all_and_says_how_to_reply() -> None:
    asked = Rubric().question(trace())
    for part in ("What is {answer}?", " Let me see.", "<answer>\n{score}\n</answer>"):
        assert part in asked
    assert asked.endswith("\n\nScore: N")
    assert Rubric().form == "Score: N"


@pytest.mark.parametrize(
    ("rubric", "says"),
    [
        ("Is {answer} good?", "rubric.*has no {score}; it needs {score}"),
        ("Is {answer} good? {score}\nScore: {score}", "has {score} more than once"),
        ("Is {answer} good? {score} {score}", "has {score} more than once"),
        ("Is it good?\nScore: {score}", "shows the judge nothing to score; it needs {answer} or {thinking}"),
        ("", "has no {score}"),
    ],
)
def test_a_rubric_without_its_places_is_refused(rubric: str, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        JudgingOptions(rubric=rubric)
    (error,) = caught.value.errors()
    assert f"{error['loc'][0]}: {error['msg']}".find(says.removeprefix("rubric.*")) > 0
