"""Configuration: file and flags, roles, variables, and what is resolved from them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tessy.abc import Options, StyleDetector, SwitchPolicy
from tessy.config import Resolved, load, resolve
from tessy.errors import ConfigError, PluginError, PluginLoadError, PluginNotFound
from tessy.plugins import Registry
from tessy.plugins.collect import Registered
from tessy.plugins.discovery import Source, find
from tessy.spec import Spec
from tessy.testing import ScriptedBackend
from tessy.types import Done, Needs
from tessy.variables import fold, redact


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover({})


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def one(registry: Registry, environ: dict[str, str] | None = None, **flags: Any) -> Resolved:
    (resolved,) = resolve(load(None, flags), registry, environ=environ or {})
    return resolved


def test_defaults() -> None:
    config = load()
    assert (config.seed, config.max_length, config.samples, config.resume) == (0, 40_000, 1, "auto")
    assert config.policy == [Spec("tessy")]
    assert config.detector is None


def test_flags_override_the_file(tmp_path: Path) -> None:
    path = file(tmp_path, "prompts: p.jsonl\nseed: 7\nsamples: 3\nretry_failed: true\npolicy: teacher-only\n")
    config = load(path, {"seed": 8, "samples": None, "retry_failed": False, "policy": []})
    assert (config.seed, config.samples, config.retry_failed) == (8, 3, True)
    assert config.policy == [Spec("teacher-only")]
    assert load(path, {"policy": ["tessy?k=5", "student-only"]}).policy[0] == Spec(
        "tessy", options={"k": "5"}
    )


def test_backends_in_a_file_take_three_shapes(tmp_path: Path) -> None:
    everyone = load(file(tmp_path, "backends: scripted:x\n"))
    assert everyone.backends == {"all": Spec("scripted", "x")}
    by_list = load(file(tmp_path, "backends: ['teacher=scripted:a', 'student=scripted:b']\n"))
    assert {role: spec.model for role, spec in by_list.backends.items()} == {"teacher": "a", "student": "b"}
    structured = load(
        file(
            tmp_path,
            "backends:\n  teacher: scripted:a?think=5\n  student:\n    name: scripted\n    model: b\n"
            "    urls: http://h:1\n    options: {think: 6, delay: 0.5}\n",
        )
    )
    assert structured.backends["teacher"].options == {"think": "5"}
    assert structured.backends["student"] == Spec(
        "scripted", "b", ("http://h:1",), {"think": 6, "delay": 0.5}
    )


def test_a_flag_for_one_role_leaves_the_files_others_and_one_for_all_leaves_none(tmp_path: Path) -> None:
    path = file(tmp_path, "backends: {teacher: 'scripted:a', student: 'scripted:b'}\n")
    one_role = load(path, {"teacher": "scripted:c"}).backends
    assert {role: spec.model for role, spec in one_role.items()} == {"teacher": "c", "student": "b"}
    assert load(path, {"backends": ["scripted:c"]}).backends == {"all": Spec("scripted", "c")}
    every = load(file(tmp_path, "backends: scripted:a\n"), {"student": "scripted:b"}).backends
    assert {role: spec.model for role, spec in every.items()} == {"all": "a", "student": "b"}


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"backends": ["teacher=scripted:a"], "teacher": "scripted:b"}, "two backends for role 'teacher'"),
        ({"backends": ["teacher=scripted:a", "teacher=scripted:b"]}, "two backends for role 'teacher'"),
        ({"backends": ["scripted:a", "scripted:b"]}, "two backends for roles without one of their own"),
        ({"teacher": "student=scripted:b"}, "names role 'student'"),
        ({"teacher": "model.gguf"}, "needs a model: NAME:MODEL"),
        ({"backends": ["x"]}, "needs a model: NAME:MODEL"),
        ({"samples": 0}, "--samples 0: must be greater than or equal to 1"),
        ({"limit": -1}, "-n -1: must be"),
        ({"max_length": 0}, "--max-length 0: must be"),
        ({"policy": ["a b"]}, "'a b' is not a plugin's name"),
        ({"resume": "maybe"}, "--resume maybe: must be 'auto', 'always' or 'never'"),
    ],
)
def test_wrong_flags_are_named(flags: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, flags)
    assert says in str(caught.value)


def test_one_backend_given_twice_is_no_contradiction() -> None:
    flags = {"backends": ["teacher=scripted:a"], "teacher": "scripted:a"}
    assert list(load(None, flags).backends) == ["teacher"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed: 1\npolcy: tessy\n", "run.yaml:2: no such setting 'polcy'; did you mean 'policy'?"),
        ("zzz: 1\n", "run.yaml:1: no such setting 'zzz'; settings are prompts, column, output"),
        ("seed: 1\nsamples: many\n", "run.yaml:2: samples: must be a valid integer"),
        ("samples: true\n", "run.yaml:1: samples: must be a valid integer"),
        (
            "backends:\n  student: scripted:b\n  teacher: nothing\n",
            "run.yaml:3: backends.teacher: backend 'nothing'",
        ),
        ("backends:\n  teacher: student=scripted:b\n", "names role 'student'"),
        ("backends: 7\n", "run.yaml:1: backends: must be a valid dictionary"),
        ("backends: {teacher: {name: x, modl: y}}\n", "no such field 'modl'"),
        ("backends: {teacher: {model: y}}\n", "needs a name"),
        ("backends: {teacher: {name: x, model: y, urls: 3}}\n", "urls must be a list"),
        ("backends: {teacher: {name: x, model: y, options: [1]}}\n", "options must be a mapping"),
        ("backends: {teacher: {name: x, model: 'y@http://h'}}\n", "reads as name 'x', model 'y'"),
        ("policy: [tessy, 7]\n", "run.yaml:1: policy.1: must be a SPEC"),
        ("policy: []\n", "run.yaml:1: policy: "),
        ("seed: 1\nx: [\n", "run.yaml:3: not YAML"),
        ("seed: 1\n\tx: 2\n", "run.yaml:2: not YAML"),
        ("seed: 1\nsamples: 2\nseed: 2\n", "run.yaml:3: seed stands on line 1 already"),
        ("- a\n", "must hold settings"),
        ("hello\n", "must hold settings"),
        ("1: 2\n", "must hold settings"),
        ("seed: 2001-99-99\n", "run.yaml"),
        ("seed: *nothing\n", "run.yaml:1: not YAML"),
        ("a: &a [*a]\n", "no such setting 'a'"),
        ("? {a: b}\n: c\n", "run.yaml"),
        ("x: !!python/object:os.system 1\n", "run.yaml:1: not YAML"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file(tmp_path, text))
    assert says in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read: No such file"):
        load(tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigError, match=r"bytes\.yaml: not YAML"):
        load(tmp_path / "bytes.yaml")
    (tmp_path / "deep.yaml").write_text("[" * 5000)
    with pytest.raises(ConfigError, match=r"deep\.yaml"):
        load(tmp_path / "deep.yaml")
    assert load(file(tmp_path, "")) == load()


def test_one_backend_for_all_roles_is_one_instance(registry: Registry) -> None:
    resolved = one(registry, backends=["scripted:x?think=9"])
    assert set(resolved.backends) == {"teacher", "student"}
    assert resolved.backends["teacher"] is resolved.backends["student"]
    assert isinstance(resolved.backends["teacher"], ScriptedBackend)
    assert resolved.backends["teacher"].options.think == 9
    assert resolved.models == {"teacher": "scripted:x", "student": "scripted:x"}
    assert str(resolved.origins["teacher"]) == "backend 'scripted' (package tessy-llm)"


def test_roles_with_different_specs_have_backends_of_their_own(registry: Registry) -> None:
    resolved = one(registry, teacher="scripted:x?think=9", student="scripted:x")
    assert resolved.backends["teacher"] is not resolved.backends["student"]
    shared = one(registry, teacher="scripted:x?think=9&answer=2", student="scripted:x?answer=2&think=9")
    assert shared.backends["teacher"] is shared.backends["student"]


def test_the_default_detector_comes_with_a_policy_that_needs_labels(registry: Registry) -> None:
    labelled = one(registry, backends=["scripted:x"])
    assert isinstance(labelled.detector, StyleDetector)
    assert labelled.detector_origin is not None
    assert labelled.detector_origin.name == "boundary"
    solo = one(registry, backends=["scripted:x"], policy=["teacher-only"])
    assert solo.detector is None
    assert list(solo.backends) == ["teacher"]
    with pytest.raises(PluginNotFound, match="no detector 'nope'"):
        one(registry, backends=["scripted:x"], policy=["teacher-only"], detector="nope")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({}, "policy 'tessy' needs a backend for teacher and student: --teacher SPEC, or --backend SPEC"),
        ({"teacher": "scripted:x"}, "policy 'tessy' needs a backend for student: --student SPEC"),
        (
            {"teacher": "scripted:x", "policy": ["teacher-only", "student-only", "tessy"]},
            "policy 'student-only' and policy 'tessy' need a backend for student: --student SPEC",
        ),
        (
            {"backends": ["scripted:x", "judge=scripted:x"], "policy": ["teacher-only", "tessy"]},
            "policy 'teacher-only' and policy 'tessy' have no such role; they have teacher, student",
        ),
        ({"backends": ["scripted:x", "judge=scripted:y"]}, "no such role; it has teacher, student"),
        (
            {"student": "scripted:x", "policy": ["teacher-only"]},
            "policy 'teacher-only' has no such role; it has teacher",
        ),
        ({"backends": ["scripted:z"], "teacher": "scripted:x", "student": "scripted:y"}, "has no role left"),
        ({"backends": ["scripted:x"], "policy": ["tessy", "tessy"]}, "policy tessy: is given twice"),
        ({"backends": ["scripted:x"], "policy": ["tessy:model"]}, "policy tessy: takes no model"),
        (
            {"backends": ["scripted:x?thnk=1"]},
            "backend teacher scripted: thnk: no such option; did you mean 'think'?",
        ),
        ({"backends": ["scripted:x"], "policy": ["tessy?k=x"]}, "policy tessy: k: must be a valid integer"),
        ({"backends": ["scripted:x"], "detector": "lexicon?x=1"}, "detector lexicon: x: no such option"),
        ({"backends": ["nothing:x"]}, "no backend 'nothing'"),
    ],
)
def test_what_does_not_fit_together_is_refused(registry: Registry, flags: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        one(registry, **flags)
    assert says in str(caught.value)


def test_several_policies_have_a_folder_each_and_share_what_they_need(registry: Registry) -> None:
    flags = {
        "backends": ["scripted:x"],
        "policy": ["tessy?k=5", "tessy?k=9", "teacher-only"],
        "output": "out",
    }
    runs = resolve(load(None, flags), registry, environ={})
    assert [str(run.folder) for run in runs] == ["out/tessy-k=5", "out/tessy-k=9", "out/teacher-only"]
    assert list(runs[2].backends) == ["teacher"]
    for role in ("teacher", "student"):
        assert runs[0].backends[role] is runs[1].backends[role]
    assert runs[0].backends["teacher"] is runs[1].backends["student"] is runs[2].backends["teacher"]
    assert runs[0].detector is runs[1].detector
    assert runs[2].detector is None
    assert str(one(registry, **(flags | {"policy": ["tessy"]})).folder) == "out"


def test_folders_of_policies_with_long_or_like_options_differ(registry: Registry) -> None:
    long = "x" * 300
    policies = [f"tessy?system={long}1", f"tessy?system={long}2", "tessy?system=a%20b", "tessy?system=a-b"]
    flags = {"backends": ["scripted:x"], "policy": policies, "output": "out"}
    names = [run.folder.name for run in resolve(load(None, flags), registry, environ={}) if run.folder]
    assert len(set(names)) == 4
    assert all(name.startswith("tessy-system=") and len(name) < 120 for name in names)
    # The same again: a run must be found by its name.
    assert names == [
        run.folder.name for run in resolve(load(None, flags), registry, environ={}) if run.folder
    ]


def test_the_document_is_complete_and_can_be_given_again(registry: Registry, tmp_path: Path) -> None:
    resolved = one(
        registry, prompts="p.jsonl", output="out", teacher="scripted:x?think=9", student="scripted:y", seed=4
    )
    document = resolved.document
    assert document["backends"]["teacher"]["options"]["think"] == 9
    assert document["backends"]["teacher"]["options"]["delay"] == 0.0
    assert document["policy"]["options"]["answer"] == "student"
    assert document["detector"]["name"] == "boundary"
    assert document["packages"] == {"tessy-llm": registry.entry("policy", "tessy").version}
    again = load(file(tmp_path, yaml.safe_dump({"tessy": "0", **document, "identity": {"a": 1}})))
    (second,) = resolve(again, registry, environ={})
    assert second.document == document


def test_variables_are_expanded_at_use_and_written_as_they_were_given(registry: Registry) -> None:
    flags = {
        "prompts": "${DATA}/p.jsonl",
        "output": "${DATA}/out",
        "backends": ["scripted:${MODEL}@${URL}?think=${WORDS}"],
    }
    environ = {"DATA": "/hidden", "MODEL": "secretmodel", "URL": "http://me:hunter2@h", "WORDS": "12"}
    resolved = one(registry, environ, **flags)
    backend = resolved.backends["teacher"]
    assert isinstance(backend, ScriptedBackend)
    assert (backend.model, backend.url, backend.options.think) == ("secretmodel", "http://me:hunter2@h", 12)
    assert (resolved.prompts, str(resolved.folder)) == ("/hidden/p.jsonl", "/hidden/out")
    written = json.dumps(resolved.document)
    assert not any(value in written for value in ("/hidden", "secretmodel", "hunter2"))
    assert resolved.document["backends"]["teacher"]["options"]["think"] == "${WORDS}"
    assert resolved.variables == {"MODEL", "URL", "WORDS"}
    assert fold(backend.identity(), resolved.variables, environ)["model"] == "${MODEL}"
    for name in environ:
        with pytest.raises(ConfigError, match=f"environment variable {name} is not set"):
            one(registry, {key: value for key, value in environ.items() if key != name}, **flags)


def test_several_urls_reach_the_backend_as_one_string(registry: Registry) -> None:
    resolved = one(registry, backends=["scripted:x@http://a:1,http://b:2"])
    assert resolved.backends["teacher"].url == "http://a:1,http://b:2"


def test_literal_secrets_are_refused(registry: Registry) -> None:
    for spec in (
        "scripted:x?api_key=hunter2",
        "scripted:x@http://me:hunter2@h",
        "scripted:x@http://h/?token=hunter2?",
    ):
        with pytest.raises(ConfigError, match="secret") as caught:
            one(registry, backends=[spec])
        assert "hunter2" not in str(caught.value)


def test_redact_hides_what_names_and_urls_betray() -> None:
    value = {"api_key": "sk", "api_key_env": "KEY", "deep": [{"hf_token": "x"}], "n": 1, "max_tokens": "9"}
    assert redact(value) == {
        "api_key": "***",
        "api_key_env": "KEY",
        "deep": [{"hf_token": "***"}],
        "n": 1,
        "max_tokens": "9",
    }
    assert redact("x http://me:pw@h/?api_key=1&b=2") == "x http://me:***@h/?api_key=***&b=2"
    assert redact("api_key=${KEY}") == "api_key=${KEY}"


class Crashing(SwitchPolicy):
    """A policy whose construction or needs fail."""

    class Options(Options):
        where: str = "make"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        if options.model_dump()["where"] == "make":
            raise ZeroDivisionError("made of glass")

    @property
    def needs(self) -> Needs:
        raise KeyError("needs")

    def next_turn(self, trajectory: Any) -> Done:
        return Done()


def test_a_plugin_that_crashes_while_it_is_made_is_named() -> None:
    from tessy.hooks import Plugin

    source = Source(find()[0][0].entry_point, "glass-pack", "1.0")
    registry = Registry([Registered("policy", Plugin("glass", "s", lambda: Crashing), source)])
    with pytest.raises(
        PluginLoadError, match=re.escape("policy 'glass' (package glass-pack) could not be made: Zero")
    ):
        one(registry, policy=["glass"])
    with pytest.raises(
        PluginError, match=re.escape("policy 'glass' (package glass-pack) failed in needs: KeyError")
    ):
        one(registry, policy=["glass?where=needs"])
