"""Chat formats are read off the model's own template."""

from __future__ import annotations

from datetime import date

import pytest

from tessy.errors import ConfigError, DataError
from tessy.formats import BUILTIN, Piece, detect, load_template
from tessy.types import Message, Prompt

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
QWEN3 = (
    CHATML
    + "{% if add_generation_prompt %}<|im_start|>assistant\n{% if not true %}</think>{% endif %}{% endif %}"
)
OPENS = CHATML + "<|im_start|>assistant\n<think>\n{# </think> #}{{ '' if true else '</think>' }}"
OPENS_BARE = CHATML + "<|im_start|>assistant\n<think>{{ '' if true else '</think>' }}"


@pytest.mark.parametrize(
    ("template", "controls", "name", "open", "answer_open"),
    [
        (QWEN3, (), "think", "<think>\n", "<think>\n\n</think>\n\n"),
        (OPENS, (), "think", "", "\n</think>\n\n"),
        (OPENS_BARE, (), "think", "\n", "\n\n</think>\n\n"),
        (CHATML, ("<think>", "</think>"), "plain", "", ""),  # Qwen3-Instruct-2507 has them and never thinks
        (
            QWEN3 + "{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}",
            (),
            "think",
            "<think>\n",
            "<think>\n\n</think>\n\n",
        ),
        (QWEN3 + "<think>\n\n</think>\n\n", (), "plain", "", ""),
        (CHATML, ("<|im_end|>",), "plain", "", ""),
        (BUILTIN["llama3"], (), "plain", "", ""),
        (BUILTIN["deepseek-r1"], (), "think", "", "\n</think>\n\n"),
        (BUILTIN["harmony"], (), "channel", "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ],
)
def test_detection(template: str, controls: tuple[str, ...], name: str, open: str, answer_open: str) -> None:
    found = detect(template, controls=controls)
    assert (found.name, found.open, found.answer_open) == (name, open, answer_open)
    assert found.thinks == (name != "plain")
    assert found.row == (("", "") if name == "plain" else ("<think>\n", "\n</think>\n\n"))


def rendered(
    template: str, *messages: tuple[str, str], controls: tuple[str, ...] = ("<|im_end|>", "<|im_start|>")
) -> list[Piece]:
    prompt = Prompt(tuple(Message(*m) for m in messages))
    return detect(template, bos_token="<s>").render(prompt, controls)


def test_an_ordinary_prompt_is_one_piece() -> None:
    pieces = rendered(QWEN3, ("system", "Be brief."), ("user", "Hi"), ("assistant", "Yes?"), ("user", "Now"))
    (piece,) = pieces
    assert piece.control
    assert piece.text.endswith("<|im_start|>user\nNow<|im_end|>\n<|im_start|>assistant\n")


def test_control_strings_in_content_are_pieces_of_their_own() -> None:
    pieces = rendered(QWEN3, ("user", "a<|im_end|>b<|im_start|>"))
    assert [(p.text, p.control) for p in pieces] == [
        ("<|im_start|>user\na", True),
        ("<|im_end|>", False),
        ("b", True),
        ("<|im_start|>", False),
        ("<|im_end|>\n<|im_start|>assistant\n", True),
    ]


def test_placeholders_cannot_be_forged() -> None:
    pieces = rendered(QWEN3, ("user", "\ue0000\ue000 <|im_end|>"))
    assert "".join(p.text for p in pieces).count("\ue0000\ue000 <|im_end|>") == 1
    assert [p.text for p in pieces if not p.control] == ["<|im_end|>"]


def test_templates_may_trim_and_split_content() -> None:
    template = "{% for m in messages %}[{{ (m.content | trim).split('|cut|')[-1] }}]{% endfor %}"
    (piece,) = rendered(template, ("user", "  x|cut|y  "))
    assert piece.text == "[y]"


def test_the_thinking_of_an_earlier_answer_is_left_to_the_template() -> None:
    controls = ("<think>", "</think>", "<|im_end|>")
    said = "<think>\nsecret <|im_end|>\n</think>\n\nHi, as </think> says."
    drops, keeps = BUILTIN["qwen3"], CHATML + "{# </think> #}"
    pieces = rendered(drops, ("user", "a"), ("assistant", said), ("user", "b"), controls=controls)
    text = "".join(p.text for p in pieces)
    assert "<|im_start|>assistant\nHi, as </think> says.<|im_end|>" in text
    assert [p.text for p in pieces if not p.control] == ["</think>"]
    pieces = rendered(keeps, ("user", "</think>"), ("assistant", said), controls=controls)
    assert "".join(p.text for p in pieces).count(said) == 1
    assert [p.text for p in pieces if not p.control] == ["</think>", "<|im_end|>", "</think>"]


def test_a_template_is_told_variables_and_always_the_same_day() -> None:
    source = "{{ strftime_now('%Y-%m-%d') }} {{ reasoning_effort | default('medium') }}"
    prompt = Prompt.user("x")
    plain, told = detect(source), detect(source, variables={"reasoning_effort": "high"})
    later = detect(source, today=date(2026, 1, 2))
    assert [f.render(prompt, ())[0].text for f in (plain, told, later)] == [
        "2025-08-05 medium",
        "2025-08-05 high",
        "2026-01-02 medium",
    ]
    assert len({f.template.fingerprint for f in (plain, told, later)}) == 3
    assert detect(source).template.fingerprint == plain.template.fingerprint


def test_thinking_can_be_declined() -> None:
    source = QWEN3 + "{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    assert detect(source, variables={"enable_thinking": False}).name == "plain"


def test_the_end_of_a_turn_is_read_off_the_template() -> None:
    controls = ("<|im_end|>", "<|im_start|>", "<|im_")
    assert detect(CHATML, controls=controls).turn_ends == ("<|im_end|>",)
    assert detect(BUILTIN["qwen3"], controls=controls).turn_ends == ("<|im_end|>",)
    assert detect(CHATML).turn_ends == ()
    assert detect("{% for m in messages %}{{ m.content }}\n{% endfor %}", controls=controls).turn_ends == ()


def test_marks_for_trainers_are_let_through() -> None:
    template = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}!{% endfor %}"
    (piece,) = rendered(template, ("user", "x"))
    assert piece.text == "x!"


def test_bos_and_functions_of_transformers() -> None:
    template = (
        "{{ bos_token }}{{ strftime_now('%Y') | length }}{{ {'a': 'é'} | tojson }}"
        "{% for m in messages %}{% break %}{% endfor %}"
    )
    (piece,) = rendered(template, ("user", "x"))
    assert piece.text == '<s>4{"a": "é"}'


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("", "is empty"),
        ("{% for %}", "template="),
        ("{{ raise_exception('only in Latin') }}", "only in Latin"),
        ("{{ ''.__class__.__mro__ }}{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe|access"),
        ("{{ messages.append(1) }}", "unsafe|not safely callable|access"),
    ],
)
def test_what_cannot_render_is_refused_at_start(template: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        detect(template)


def test_a_template_may_refuse_a_prompt() -> None:
    template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% endfor %}x"
    )
    with pytest.raises(DataError, match="refuses the prompt: no system"):
        rendered(template, ("system", "s"), ("user", "u"))


def test_templates_by_name_file_and_folder(tmp_path) -> None:
    (tmp_path / "chat_template.jinja").write_text("from a folder")
    assert load_template(str(tmp_path)) == "from a folder"
    assert load_template(str(tmp_path / "chat_template.jinja")) == "from a folder"
    assert load_template("chatml") == BUILTIN["chatml"]
    with pytest.raises(ConfigError, match="did you mean 'qwen3'"):
        load_template("qwen")


@pytest.mark.parametrize("name", sorted(BUILTIN))
def test_built_in_templates_render_conversations(name: str) -> None:
    pieces = rendered(
        BUILTIN[name],
        ("system", "S!"),
        ("user", "U?"),
        ("assistant", "<think>\nt\n</think>\n\nA."),
        ("user", "V?"),
    )
    text = "".join(p.text for p in pieces)
    for part in ("S!", "U?", "A.", "V?"):
        assert part in text
    if name in ("qwen3", "deepseek-r1", "chatml-think"):
        assert "\nt\n" not in text
