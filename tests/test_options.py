"""Options: strings become what the plugin asks for; a mistake is named with its full path."""

from __future__ import annotations

import enum
import re
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, SecretStr, field_validator, model_validator

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


class Levels(enum.IntEnum):
    low = 1
    high = 2


class ChoiceOptions(Options):
    words: Literal[0, 1, 2, 4] = 2
    either: Literal[1, "1", "many"] | None = None
    level: Levels = Levels.low


class Choice:
    Options = ChoiceOptions


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [("words", "0", 0), ("words", "4", 4), ("words", 1, 1), ("either", "1", "1"), ("either", "none", None),
     ("either", "many", "many"), ("level", "2", Levels.high)],
)  # fmt: skip
def test_one_of_several_numbers_may_be_written_as_a_string(key: str, text: Any, value: Any) -> None:
    found = getattr(build("detector", "choice", "pack", Choice, {key: text}, environ={}), key)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["3", "1.5", "01", "", "two", "9" * 5000])
def test_another_number_is_none_of_them(text: str) -> None:
    with pytest.raises(ConfigError, match=r"detector choice: words: must be 0, 1, 2 or 4, got '"):
        build("detector", "choice", "pack", Choice, {"words": text}, environ={})


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


class Speed(enum.Enum):
    SLOW = "slow"
    FAST = "fast"


class Retry(Options):
    tries: int = Field(3, ge=1, le=9, description="how often")
    wait: Annotated[float, Field(gt=0)] | None = Field(None, description="seconds between")
    api_key_env: str | None = None


class Judge(Options):
    model: str = Field(description="who rates")
    retry: Retry = Retry(tries=5)


class DeepOptions(Options):
    speed: Speed = Speed.FAST
    retry: Retry = Field(default_factory=Retry, description="when the service is busy")
    judge: Judge | None = None
    steps: list[Retry] = Field(default=[], max_length=2)
    models: dict[str, Judge] = Field(default={})
    either: Retry | list[Annotated[int, Field(ge=0)]] | None = None
    name: str = Field("a", alias="as", min_length=1, pattern="a+", max_length=5)

    @model_validator(mode="after")
    def _contradiction(self) -> DeepOptions:
        if self.speed is Speed.SLOW and self.steps:
            raise ValueError("speed=slow takes no steps")
        return self


class Deep:
    Options = DeepOptions


def deep(raw: dict[str, Any], **environ: str) -> DeepOptions:
    options = build("policy", "deep", "deep-pack", Deep, raw, environ=environ)
    assert isinstance(options, DeepOptions)
    return options


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (
            {"retry": {"tires": 1}},
            "retry.tires: no such option; did you mean 'tries'? (retry has: tries, wait, api_key_env)",
        ),
        ({"retry": '{"tires": 1}'}, "policy deep: retry.tires: no such option; did you mean 'tries'?"),
        ({"retry": {"tries": 0}}, "retry.tries: must be greater than or equal to 1, got 0 (expects int)"),
        ({"retry": '{"tries": "x"}'}, "policy deep: retry.tries: must be a valid integer"),
        ({"retry": '{"tries": "x"}'}, "got 'x' (expects int)"),
        (
            {"retry": "often"},
            "policy deep: retry: must be a valid dictionary or instance of Retry, got 'often'",
        ),
        ({"retry": "often"}, "(expects {tries, wait, api_key_env})"),
        ({"judge": {}}, "policy deep: judge.model: is required (package deep-pack)"),
        (
            {"judge": {"model": "m", "retry": {"wiat": 1}}},
            "judge.retry.wiat: no such option; did you mean 'wait'?",
        ),
        (
            {"steps": [{}, {"tries": 10}]},
            "steps[1].tries: must be less than or equal to 9, got 10 (expects int)",
        ),
        (
            {"steps": '[{"tires": 10}]'},
            "steps[0].tires: no such option; did you mean 'tries'? (steps[0] has: ",
        ),
        ({"steps": [{}, {}, {}]}, "policy deep: steps: List should have at most 2 items"),
        ({"models": {"a": {"modl": "x"}}}, "models.a.modl: no such option; did you mean 'model'?"),
        ({"either": {"tires": 1}}, "policy deep: either.tires: no such option; did you mean 'tries'?"),
        ({"either": "3, -1"}, "policy deep: either[1]: must be greater than or equal to 0"),
        ({"speed": "quick"}, "policy deep: speed: must be 'slow' or 'fast', got 'quick'"),
        ({"name": "aa"}, "policy deep: name: no such option"),
        ({"ass": "aa"}, "ass: no such option; did you mean 'as'?"),
        ({"as": "b"}, "policy deep: as: String should match pattern 'a+', got 'b'"),
        ({"speed": "slow", "steps": [{}]}, "policy deep: speed=slow takes no steps"),
    ],
)
def test_a_mistake_inside_a_group_is_named_with_its_whole_path(raw: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        deep(raw)
    assert says in str(caught.value)
    assert "Retry." not in str(caught.value)


def test_groups_are_read_from_mappings_and_json() -> None:
    options = deep({"retry": {"tries": "4", "wait": "none"}, "judge": '{"model": "m", "retry": {"wait": 2}}'})
    assert (options.retry.tries, options.retry.wait) == (4, None)
    assert options.judge == Judge(model="m", retry=Retry(wait=2))
    assert deep({"either": "1,2"}).either == [1, 2]
    assert deep({"steps": '[{"tries": 2}]', "speed": "fast"}).steps == [Retry(tries=2)]


def test_variables_in_groups_are_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        deep({"judge": {"model": "m", "retry": {"tries": "${NAME}"}}}, NAME="hunter2")
    assert "judge.retry.tries: must be a valid integer" in str(caught.value)
    assert "got '${NAME}'" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({"retry": {"api_key": "hunter2"}}, "retry.api_key"),
        ({"retry": '{"api_key": "hunter2"}'}, "retry.api_key"),
        ({"retry": {"api_key_env": "sk-hunter2"}}, "retry.api_key_env"),
        ({"steps": [{"api_key": "hunter2"}]}, "steps[0].api_key"),
        ({"models": '{"a": {"model": "http://me:hunter2@host/"}}'}, "models.a.model"),
    ],
)
def test_a_secret_in_a_group_is_refused_too(raw: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"policy deep: {path}: ")) as caught:
        deep(raw)
    assert "hunter2" not in str(caught.value)


def test_groups_limits_and_choices_are_described() -> None:
    described = {option.name: option for option in describe(Deep)}
    assert list(described) == [
        "speed", "retry", "retry.tries", "retry.wait", "retry.api_key_env", "judge", "judge.model",
        "judge.retry", "judge.retry.tries", "judge.retry.wait", "judge.retry.api_key_env", "steps",
        "steps[].tries", "steps[].wait", "steps[].api_key_env", "models", "models.*.model", "models.*.retry",
        "models.*.retry.tries", "models.*.retry.wait", "models.*.retry.api_key_env", "either", "either.tries",
        "either.wait", "either.api_key_env", "as",
    ]  # fmt: skip
    kinds = {name: (option.type, option.limits, option.default) for name, option in described.items()}
    assert kinds["speed"] == ("slow | fast", "", "fast")
    assert kinds["retry.tries"] == ("int", "≥ 1, ≤ 9", 3)
    assert kinds["retry.wait"] == ("float | none", "> 0", None)
    assert kinds["judge"] == ("{model, retry} | none", "", None)
    assert described["judge.model"].required
    assert kinds["judge.retry.tries"] == ("int", "≥ 1, ≤ 9", 5)
    assert kinds["steps"] == ("list[{tries, wait, api_key_env}]", "length ≤ 2", [])
    assert kinds["models"] == ("dict[str, {model, retry}]", "", {})
    assert kinds["either"][1] == "each ≥ 0"
    assert kinds["as"] == ("str", "length ≥ 1, length ≤ 5, matches a+", "a")
    assert described["retry"].help == "when the service is busy"
    assert described["retry"].default == {"tries": 3, "wait": None, "api_key_env": None}


def test_a_group_that_holds_itself_is_described_once() -> None:
    assert [option.name for option in describe(Chain)] == ["next", "n"]


class ChainOptions(Options):
    next: ChainOptions | None = None
    n: int = Field(default_factory=lambda data: len(data["next"].n))


class Chain:
    Options = ChainOptions
