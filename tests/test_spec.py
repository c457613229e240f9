"""SPECs: what the grammar allows, what it refuses, and that nothing but ConfigError comes out."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tessy.errors import ConfigError
from tessy.spec import Spec

Kind = Literal["backend", "detector", "policy"]


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("vllm:Qwen/Qwen3-8B", Spec("vllm", "Qwen/Qwen3-8B")),
        ("teacher=vllm:org/m", Spec("vllm", "org/m", role="teacher")),
        ("weak-judge=vllm:org/m", Spec("vllm", "org/m", role="weak-judge")),
        ("llamacpp:model.gguf", Spec("llamacpp", "model.gguf")),
        ("llamacpp:./a/b c.gguf", Spec("llamacpp", "./a/b c.gguf")),
        ("llamacpp:/abs/m.gguf", Spec("llamacpp", "/abs/m.gguf")),
        (r"llamacpp:C:\models\m.gguf", Spec("llamacpp", r"C:\models\m.gguf")),
        ("llamacpp:C:/models/m.gguf", Spec("llamacpp", "C:/models/m.gguf")),
        ("openai:ft:gpt-4o:org:x", Spec("openai", "ft:gpt-4o:org:x")),
        ("ollama:qwen3:8b@http://h:11434/v1", Spec("ollama", "qwen3:8b", ("http://h:11434/v1",))),
        ("vllm:org/m@main", Spec("vllm", "org/m@main")),
        ("vllm:org/m@v1@https://h", Spec("vllm", "org/m@v1", ("https://h",))),
        ("vllm:m@http://a:1,http://b:2/v1", Spec("vllm", "m", ("http://a:1", "http://b:2/v1"))),
        ("vllm:m@http://a/x,y", Spec("vllm", "m", ("http://a/x,y",))),
        ("vllm:m@http://u:${PW}@h:80/v1", Spec("vllm", "m", ("http://u:${PW}@h:80/v1",))),
        ("vllm:m@${URL},${OTHER}", Spec("vllm", "m", ("${URL}", "${OTHER}"))),
        ("vllm:m@http://[::1]:8000/v1", Spec("vllm", "m", ("http://[::1]:8000/v1",))),
        ("vllm:m@http://h/v1?version=2?k=1", Spec("vllm", "m", ("http://h/v1?version=2",), {"k": "1"})),
        ("vllm:m@http://h/v1?version=2?", Spec("vllm", "m", ("http://h/v1?version=2",))),
        ("llamacpp:what?.gguf?", Spec("llamacpp", "what?.gguf")),
        ("llamacpp:a=b.gguf", Spec("llamacpp", "a=b.gguf")),
        ("a=b:c=d:e?f=g=h", Spec("b", "c=d:e", (), {"f": "g=h"}, "a")),
        ("vllm:m?a=1&b=x%26y%3F&c=", Spec("vllm", "m", (), {"a": "1", "b": "x&y?", "c": ""})),
        ("vllm:m?t=a+b%20c&u=%C3%A9&v=100%", Spec("vllm", "m", (), {"t": "a+b c", "u": "é", "v": "100%"})),
        ("scripted:x?url=http://h/", Spec("scripted", "x", (), {"url": "http://h/"})),
    ],
)
def test_backends(text: str, spec: Spec) -> None:
    parsed = Spec.parse("backend", text)
    assert parsed == spec
    assert Spec.parse("backend", str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("tessy", Spec("tessy")),
        ("tessy?k=20&answer=teacher", Spec("tessy", options={"k": "20", "answer": "teacher"})),
        ("deep?a.b=1&k=2&a.c.d=x%26", Spec("deep", options={"a": {"b": "1", "c": {"d": "x&"}}, "k": "2"})),
        ("lexicon", Spec("lexicon")),
        ("onnx:dir/model@http://x", Spec("onnx", "dir/model@http://x")),
        ("onnx:m?x=a:b", Spec("onnx", "m", options={"x": "a:b"})),
        ("name?x=a:b", Spec("name", options={"x": "a:b"})),
    ],
)
@pytest.mark.parametrize("kind", ["policy", "detector"])
def test_policies_and_detectors(kind: Kind, text: str, spec: Spec) -> None:
    assert Spec.parse(kind, text) == spec
    assert Spec.parse(kind, str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the plugin's name is missing"),
        ("model.gguf", "needs a model: NAME:MODEL"),
        ("./model.gguf", "'./model.gguf' is not a plugin's name"),
        ("vllm:", "needs a model"),
        (":m", "the plugin's name is missing"),
        ("teacher=", "the plugin's name is missing"),
        ("http://h:1/v1", "this is a URL; write NAME:MODEL@URL"),
        ("vllm:@http://h", "needs a model before the '@'"),
        ("vllm:m@", "nothing follows the '@'"),
        ("vllm:m@localhost:8000", "begins with http:// or https://"),
        ("vllm:m@10.0.0.1:8000/v1", "begins with http:// or https://"),
        ("vllm:m@http://", "names no host"),
        ("vllm:m@http://h:port", "URL 'http://h:port'"),
        ("vllm:m@http://a:1,b:2", "every replica begins with its scheme"),
        ("vllm:m@http://[::1", "URL 'http://[::1'"),
        ("vllm:m@http://a b", "white space"),
        ("vllm:m?temperature", "option 'temperature' has no value"),
        ("vllm:m?api-key-env=X", "did you mean 'api_key_env'?"),
        ("vllm:m?a=1&a=2", "option 'a' is given twice"),
        ("vllm:m?a.b=1&a.b=2", "option 'a.b' is given twice"),
        ("vllm:m?a=1&a.b=2", "option 'a.b': 'a' is given a value of its own too"),
        ("vllm:m?a.b=1&a=2", "option 'a' is given twice"),
        ("vllm:m?a.=1", "'a.' is not an option's name"),
        ("vllm:m?a.b=1?c=2", "inside a value write %3F"),
        ("vllm:m?a=1&", "'' is not an option's name"),
        ("vllm:m?a=1?b=2", "inside a value write %3F"),
        ("vllm:m?stop=why?", "inside a value write %3F"),
        ("vllm:m?a=%ff", "not UTF-8"),
        ("vllm:m\x1b[31m", "control character"),
        ("vllm:\udcff", "not text"),
    ],
)
def test_what_is_wrong_is_said_with_an_example(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Spec.parse("backend", text)
    assert says in str(caught.value)
    assert "example: teacher=vllm:" in str(caught.value)


def test_a_secret_in_a_wrong_spec_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        Spec.parse("backend", "vllm:m@http://me:hunter2@h:x?api_key=sk-123&y")
    assert "hunter2" not in str(caught.value)
    assert "sk-123" not in str(caught.value)


def test_variables_are_expanded_without_being_parsed() -> None:
    spec = Spec.parse("backend", "vllm:${M}@${URLS}")
    expanded = spec.expand("backend teacher", {"M": "a?b=c", "URLS": "http://a:1,http://u:p@b:2"})
    assert (expanded.model, expanded.urls) == ("a?b=c", ("http://a:1", "http://u:p@b:2"))
    assert str(spec) == "vllm:${M}@${URLS}"
    with pytest.raises(ConfigError, match=r"backend teacher: model: the environment variable M is not set"):
        spec.expand("backend teacher", {})
    with pytest.raises(ConfigError, match=r"URL '\$\{URLS\}'"):
        spec.expand("backend teacher", {"M": "m", "URLS": "http://secret:nonsense"})


def test_a_literal_password_is_refused() -> None:
    with pytest.raises(ConfigError, match="holds a secret") as caught:
        Spec.parse("backend", "vllm:m@http://me:hunter2@h").expand("backend", {})
    assert "hunter2" not in str(caught.value)


PIECES = st.sampled_from(
    [
        "teacher=",
        "vllm",
        ":",
        "@",
        "?",
        "&",
        "=",
        ",",
        "http://h:1/v1",
        "${X}",
        "%",
        "%41",
        "%ff",
        " ",
        "[",
        "a.b",
        "a.c=",
        "é",
    ]
)


@given(
    st.sampled_from(["backend", "policy", "detector"]), st.one_of(st.text(), st.lists(PIECES).map("".join))
)
@example("backend", "a:b ?")
@example("backend", "a:b @http://h ?")
@example("backend", "a:?b?")
def test_any_text_is_a_spec_that_comes_back_or_a_config_error(kind: Kind, text: str) -> None:
    try:
        spec = Spec.parse(kind, text)
    except ConfigError:
        return
    assert Spec.parse(kind, str(spec)) == spec


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]*", fullmatch=True)
KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True)


@given(NAMES, st.dictionaries(KEYS, st.text(st.characters(exclude_categories=["Cs"]))), st.none() | KEYS)
def test_any_value_survives_the_round_trip(name: str, options: dict[str, str], role: str | None) -> None:
    spec = Spec(name, "org/model", ("http://h:1/v1",), options, role)
    assert Spec.parse("backend", str(spec)) == spec


OPTIONS = st.recursive(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(KEYS, OPTIONS, max_size=3))
def test_groups_survive_the_round_trip(options: dict[str, Any]) -> None:
    assert Spec.parse("policy", str(Spec("deep", options=options))).options == options


def test_what_is_no_group_of_strings_stays_json() -> None:
    spec = Spec("deep", options={"a": {"b": 1}, "c": {}, "d": {"e": "x", "f": [1]}, "g": {"h i": "x"}})
    assert str(spec) == 'deep?a={"b":%201}&c={}&d={"e":%20"x",%20"f":%20[1]}&g={"h%20i":%20"x"}'
