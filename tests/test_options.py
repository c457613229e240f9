"""Options: strings become what the plugin asks for; a mistake is named with its full path."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
from pydantic import Field, SecretStr, field_validator

from tessy.abc import Options
from tessy.errors import ConfigError, PluginLoadError
from tessy.options import build, describe


class EngineOptions(Options):
    temperature: float | None = Field(None, ge=0, description="how adventurous")
    top_k: int = 20
    stop: tuple[str, ...] = ()
    mode: Literal["fast", "good"] = "good"
    extra: dict[str, Any] | None = None
    quiet: bool = False
    label: str = ""
    api_key_env: str | None = None

    @field_validator("label")
    @classmethod
    def _label(cls, value: str) -> str:
        if "bad" in value:
            raise ValueError(f"{value} is not a label")
        if value == "crash":
            raise KeyError(value)
        return value


class Engine:
    Options = EngineOptions


def engine(raw: dict[str, Any], **environ: str) -> EngineOptions:
    options = build("backend teacher", "engine", "engine-pack", Engine, raw, environ=environ)
    assert isinstance(options, EngineOptions)
    return options


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("temperature", "0.7", 0.7),
        ("temperature", "1e-1", 0.1),
        ("temperature", "none", None),
        ("temperature", 0.5, 0.5),
        ("top_k", "40", 40),
        ("quiet", "true", True),
        ("quiet", "0", False),
        ("mode", "fast", "fast"),
        ("stop", "a", ("a",)),
        ("stop", "a, b", ("a", "b")),
        ("stop", '["a,b", "c"]', ("a,b", "c")),
        ("stop", ["x"], ("x",)),
        ("extra", '{"a": [1, 2]}', {"a": [1, 2]}),
        ("label", "none", "none"),
        ("label", "[1]", "[1]"),
    ],
)
def test_strings_are_read_as_the_options_type(key: str, text: Any, value: Any) -> None:
    assert getattr(engine({key: text}), key) == value


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (
            {"temperatur": "1"},
            "backend teacher engine: temperatur: no such option; did you mean 'temperature'?",
        ),
        ({"zzz": "1"}, "package engine-pack has: temperature, top_k, stop"),
        ({"temperature": "warm"}, "backend teacher engine: temperature: must be a valid number"),
        ({"temperature": "warm"}, "got 'warm' (expects float | none)"),
        ({"temperature": "-1"}, "temperature: must be greater than or equal to 0, got '-1'"),
        ({"mode": "best"}, "mode: must be 'fast' or 'good', got 'best'"),
        ({"extra": "{nonsense"}, "extra: must be a valid dictionary, got '{nonsense'"),
        ({"label": "bad"}, "label: bad is not a label, got 'bad'"),
        ({"top_k": "x" * 200}, "…"),
    ],
)
def test_a_mistake_says_where_what_and_what_instead(raw: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        engine(raw)
    assert says in str(caught.value)


def test_all_mistakes_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        engine({"top_k": "x", "mode": "y", "nope": "z"})
    assert len(str(caught.value).splitlines()) == 3


def test_a_required_option_that_is_missing() -> None:
    class Needy:
        class Options(Options):
            path: str

    with pytest.raises(ConfigError, match=r"policy needy: path: is required \(package p\)"):
        build("policy", "needy", "p", Needy, {})


def test_a_validator_that_crashes_is_the_plugins_fault() -> None:
    with pytest.raises(PluginLoadError, match=r"backend teacher engine \(package engine-pack\).*KeyError"):
        engine({"label": "crash"})


def test_variables_are_expanded_and_never_shown() -> None:
    assert engine({"label": "a-${NAME}"}, NAME="blue").label == "a-blue"
    assert engine({"extra": {"deep": ["${NAME}"]}}, NAME="blue").extra == {"deep": ["blue"]}
    assert engine({"label": "${A}"}, A="${B}", B="x").label == "${B}"
    with pytest.raises(ConfigError, match=r"label: the environment variable NAME is not set"):
        engine({"label": "${NAME}"})
    with pytest.raises(ConfigError) as caught:
        engine({"label": "${NAME}"}, NAME="bad-hunter2")
    assert "${NAME} is not a label, got '${NAME}'" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [
        {"api_key": "sk-hunter2"},
        {"hub_token": "hf_hunter2"},
        {"client_secret": "hunter2"},
        {"api_key": "${KEY}"},
        {"extra": {"Authorization": "Bearer hunter2"}},
        {"label": "http://me:hunter2@host/"},
        {"label": "http://host/?api_key=hunter2"},
        {"api_key_env": "sk-hunter2"},
        {"api_key_env": "hf_hunter2"},
    ],
)
def test_a_secret_is_refused_without_being_repeated(raw: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"secret|variable") as caught:
        engine(raw, KEY="hunter2")
    assert "hunter2" not in str(caught.value)


def test_the_hint_names_the_option_that_takes_a_variable() -> None:
    with pytest.raises(ConfigError, match=re.escape("api_key_env=VARIABLE")):
        engine({"api_key": "sk-1"})


@pytest.mark.parametrize(
    "raw", [{"api_key_env": "OPENAI_API_KEY"}, {"api_key_env": "my_key"}, {"stop": "token"}]
)
def test_names_of_variables_and_words_are_no_secrets(raw: dict[str, Any]) -> None:
    engine(raw, my_key="x")


def test_options_are_described_for_users() -> None:
    class Secretive:
        class Options(EngineOptions):
            path: str
            hidden: SecretStr | None = None

    described = {option.name: option for option in describe(Secretive)}
    temperature = described["temperature"]
    assert (temperature.type, temperature.default, temperature.help) == (
        "float | none",
        None,
        "how adventurous",
    )
    assert described["stop"].type == "tuple[str, …]"
    assert described["mode"].type == "fast | good"
    assert described["path"].required
