"""An exported row, rendered with each family's published template, shows the thinking exactly once.

Where a template drops the thinking of a message, `tessy export --template` must say so, and the text that it
writes itself must hold it.
"""

from __future__ import annotations

from typing import Any

import pytest

from golden.families import FAMILIES, golden
from tessy.errors import ConfigError
from tessy.export.settings import Settings
from tessy.export.shapes import _written
from tessy.export.templates import Checked, Rendered
from tessy.rundata import Row

pytestmark = golden
THINKING = sorted(name for name in FAMILIES if FAMILIES[name].close)
THOUGHT, ANSWER = "Okay, so 12 + 7 = 19.\n\nWait, yes.", "It is **19**."
FORMS = [("inline", "reasoning_content"), ("field", "reasoning_content"), ("field", "thinking")]


def row() -> Row:
    content = f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"
    begin = len("<think>\n")
    middle = begin + len(THOUGHT)
    start = content.index(ANSWER)
    places = [
        ("student", "think", "style", begin, begin + 10, 3),
        ("teacher", "think", "capability", begin + 10, middle, 9),
        ("student", "answer", None, start, len(content), 4),
    ]
    names = ("author", "phase", "kind", "start", "end", "tokens")
    spans = [dict(zip(names, place, strict=True)) for place in places]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is 12 + 7?"},
        {"role": "assistant", "content": content},
    ]
    tessy = {"spans": spans, "tokens": {"student": 7, "teacher": 9}}
    return Row({"id": "a", "messages": messages, "tessy": tessy}, "data.jsonl:1")


def rendered(name: str, message: dict[str, str]) -> str:
    return FAMILIES[name].reference([*row().messages[:-1], message], generate=False)


@pytest.mark.parametrize(("reasoning", "field"), FORMS)
@pytest.mark.parametrize("name", THINKING)
def test_a_record_shows_the_thinking_once_or_is_refused(name: str, reasoning: Any, field: str) -> None:
    settings = Settings(reasoning=reasoning, reasoning_field=field, template=name)
    message, _ = _written(row(), settings)
    shown = rendered(name, message).count(THOUGHT)
    check = Checked(FAMILIES[name].detected(), settings)
    if shown == 1:
        check(row(), [*row().messages[:-1], message])
    else:
        with pytest.raises(ConfigError, match=r"shows? (the|\d+ times the) thinking"):
            check(row(), [*row().messages[:-1], message])


@pytest.mark.parametrize("name", THINKING)
def test_some_form_shows_the_thinking_exactly_once(name: str) -> None:
    shown = []
    for reasoning, field in FORMS:
        message, _ = _written(row(), Settings(reasoning=reasoning, reasoning_field=field))  # type: ignore[arg-type]
        shown.append(rendered(name, message).count(THOUGHT))
    dropping = {"deepseek-r1", "distill-llama", "distill-qwen"}
    assert (1 in shown) != (name in dropping), shown


@pytest.mark.parametrize("name", THINKING)
def test_the_text_shows_it_once_whatever_the_template_drops(name: str) -> None:
    family = FAMILIES[name]
    settings = Settings(format="prompt-completion", template=name)
    prompt, completion, _ = Rendered(family.detected(), settings)(row())
    assert prompt == family.reference(row().messages[:-1])
    assert (prompt + completion).count(THOUGHT) == 1
    said = family.open + THOUGHT + family.close + ANSWER
    assert completion.startswith(said)
    assert completion.removeprefix(said) in (family.end, "<|return|>")
