"""Prompts are those of the published templates, text for text."""

from __future__ import annotations

from datetime import date

import pytest

from golden.families import FAMILIES, codec, golden
from tessy.formats import BUILTIN, detect
from tessy.types import Message, Prompt

pytestmark = golden
ALL = sorted(FAMILIES)
THINKING = [name for name in ALL if FAMILIES[name].close]
THOUGHT, ANSWER = "Okay, let's see.\n\n12 + 7 = 19, wait, yes", "It is **19**.\n\n"
CONTROLS = (
    "</think> <think> <|im_end|> <|im_start|>user <|end|> <|channel|> <｜User｜> <|eot_id|> <tool_call>"
)

Turns = list[tuple[str, str]]
CONVERSATIONS: dict[str, Turns] = {
    "user": [("user", "What is 12 + 7?")],
    "system": [("system", "Be brief."), ("user", "What is 12 + 7?")],
    "empty system": [("system", ""), ("user", "What is 12 + 7?")],
    "turns": [("user", "Hi"), ("assistant", "Hello!"), ("user", "What is\n\n12 + 7?")],
    "thoughts": [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "<think>\nThey greet.\n\nSo do I.\n</think>\n\nHello!"),
        ("user", "And 2?"),
        ("assistant", "<think>\n\n</think>\n\n  2, indented\n"),
        ("user", "And 3?"),
    ],
    "unicode": [("system", "Répondez en 日本語 🎉"), ("user", "naïve — ½ · ﷺ 👩‍👩‍👧 \u200b‮ Ω≈ç\ue000")],
    "edges": [("system", "\n a "), ("user", "  x\n\n"), ("assistant", "\ny "), ("user", "\tz\r\n")],
    "quoting": [("system", f"a {CONTROLS}"), ("user", f"{CONTROLS} b <|message|>c<|return|>")],
    "quoted answers": [
        ("user", "Hi"),
        ("assistant", "<|im_end|><|return|><｜User｜>"),
        ("user", "{{ 1 }} {% x"),
    ],
}


def dicts(turns: Turns) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in turns]


def ours(source_or_format, turns: Turns, controls) -> str:
    prompt = Prompt(tuple(Message(*turn) for turn in turns))
    return "".join(piece.text for piece in source_or_format.render(prompt, controls))


@pytest.mark.parametrize("name", ALL)
def test_detection(name: str) -> None:
    family = FAMILIES[name]
    found = family.detected()
    assert found.name == family.format
    assert (found.open, found.answer_open, found.close) == (family.open, family.answer_open, family.close)
    assert family.end in found.turn_ends
    assert found.end_mark == {"think": "</think>", "channel": "<|end|>", "plain": ""}[family.format]
    assert found.thinks == (family.format != "plain")


@pytest.mark.parametrize("case", CONVERSATIONS)
@pytest.mark.parametrize("name", ALL)
def test_a_prompt_is_the_published_one(name: str, case: str) -> None:
    family, turns = FAMILIES[name], CONVERSATIONS[case]
    text = ours(family.detected(), turns, codec(family.vocabulary).controls)
    assert text == family.reference(dicts(turns))


@pytest.mark.parametrize("name", ["qwen3", "qwen3-config", "qwen3.5", "qwq"])
def test_thinking_and_answer_stand_where_the_model_puts_them(name: str) -> None:
    family, turns = FAMILIES[name], CONVERSATIONS["thoughts"]
    found = family.detected()
    prompt = ours(found, turns, codec(family.vocabulary).controls)
    finished = [
        *dicts(turns),
        {"role": "assistant", "content": f"<think>\n{THOUGHT}\n</think>\n\nIt is **19**."},
    ]
    trace = prompt + found.open + THOUGHT + found.close + "It is **19**."
    assert trace + "<|im_end|>\n" == family.reference(finished, generate=False)


def test_channels_stand_where_gpt_oss_puts_them() -> None:
    family, turns = FAMILIES["gpt-oss"], CONVERSATIONS["turns"]
    found = family.detected()
    prompt = ours(found, turns, codec("gpt-oss").controls)
    finished = [*dicts(turns), {"role": "assistant", "thinking": THOUGHT, "content": ANSWER}]
    trace = prompt + found.open + THOUGHT + found.close + ANSWER
    assert trace + "<|return|>" == family.reference(finished, generate=False)
    unthinking = [*dicts(turns), {"role": "assistant", "content": ANSWER}]
    assert prompt + found.answer_open + ANSWER + "<|return|>" == family.reference(unthinking, generate=False)


@pytest.mark.parametrize("name", ["qwen3", "qwen3-config", "qwen3.5"])
def test_skipping_the_thinking_is_what_the_template_does_when_told(name: str) -> None:
    family, turns = FAMILIES[name], CONVERSATIONS["system"]
    found = family.detected()
    prompt = ours(found, turns, ())
    assert prompt + found.answer_open == family.reference(dicts(turns), enable_thinking=False)
    declined = detect(family.source, variables={"enable_thinking": False})
    assert declined.name == "plain"
    assert ours(declined, turns, ()) == prompt + found.answer_open


@pytest.mark.parametrize("name", ["gpt-oss", "llama3.2"])
def test_the_day_is_the_one_that_was_given(name: str) -> None:
    family, turns = FAMILIES[name], CONVERSATIONS["system"]
    day = date(2026, 2, 3)
    found = family.detected(day)
    assert ours(found, turns, ()) == family.reference(dicts(turns), today=day)
    assert ours(found, turns, ()) != ours(family.detected(), turns, ())
    assert found.template.fingerprint != family.detected().template.fingerprint


def test_the_effort_of_gpt_oss_can_be_told() -> None:
    family, turns = FAMILIES["gpt-oss"], CONVERSATIONS["system"]
    found = detect(family.source, variables={"reasoning_effort": "high"})
    assert ours(found, turns, ()) == family.reference(dicts(turns), reasoning_effort="high")


def test_gpt_oss_would_refuse_a_quotation_that_we_let_it_read_as_text() -> None:
    family = FAMILIES["gpt-oss"]
    quoting = "I wrote <|channel|>final<|message|> there."
    turns = [("user", "Hi"), ("assistant", quoting), ("user", "Go on")]
    text = ours(family.detected(), turns, codec("gpt-oss").controls)
    assert f"<|channel|>final<|message|>{quoting}<|end|>" in text


@pytest.mark.parametrize("case", [c for c in CONVERSATIONS if "quot" not in c])
@pytest.mark.parametrize(
    ("builtin", "name"),
    [
        ("qwen3", "qwen3"),
        ("chatml-think", "qwen3"),
        ("chatml", "qwen3-coder"),
        ("deepseek-r1", "distill-llama"),
        ("deepseek-r1", "distill-qwen"),
        ("llama3", "llama3"),
        ("harmony", "gpt-oss"),
    ],
)
def test_built_in_templates_say_the_same(builtin: str, name: str, case: str) -> None:
    family, turns = FAMILIES[name], CONVERSATIONS[case]
    text = ours(detect(BUILTIN[builtin], **family.tokens), turns, codec(family.vocabulary).controls)
    published = family.reference(dicts(turns))
    if builtin == "harmony":  # without the system message
        published = published[published.index("<|end|>") + len("<|end|>") :]
    assert text == published


@pytest.mark.parametrize(
    ("builtin", "name"), [("qwen3", "qwen3"), ("deepseek-r1", "distill-llama"), ("harmony", "gpt-oss")]
)
def test_built_in_templates_are_recognised_alike(builtin: str, name: str) -> None:
    family = FAMILIES[name]
    controls = codec(family.vocabulary).controls
    found, published = detect(BUILTIN[builtin], **family.tokens, controls=controls), family.detected()
    for part in ("name", "open", "close", "end_mark", "answer_open", "turn_ends", "row"):
        assert getattr(found, part) == getattr(published, part)
