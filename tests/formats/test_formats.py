"""Chat formats are read off the model's own template."""

from __future__ import annotations

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
        (CHATML, ("<think>", "</think>"), "think", "<think>\n", "<think>\n\n</think>\n\n"),
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
