"""A class that does not fill in its contract is refused when it is loaded, in words that help its author."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.shell import scripted, tessy
from helpers import write_prompts
from plugin_packages import install, policy
from tessy.abc import Backend, Capabilities, Options, StyleDetector, SwitchPolicy
from tessy.config.resolve import Maker
from tessy.errors import PluginError
from tessy.plugins import Registry
from tessy.plugins.contract import breach
from tessy.spec import Spec
from tessy.types import Done, Needs

BASES: dict[str, type[Any]] = {"backend": Backend, "detector": StyleDetector, "policy": SwitchPolicy}


def of(base: type[Any], **members: Any) -> str | None:
    """The breach of a class with these members besides good ones."""
    good: dict[type[Any], dict[str, Any]] = {
        SwitchPolicy: {"needs": Needs(), "next_turn": lambda self, trajectory: Done()},
        StyleDetector: {"label": label},
        Backend: {"capabilities": Capabilities(), "session": lambda self, prompt, key: None},
    }
    return breach(type("Mine", (base,), good[base] | members), base)


async def label(self: Any, windows: Any) -> list[Any]:
    return []


async def waits(self: Any, *args: Any, **keywords: Any) -> None:
    return None


def returns(self: Any, *args: Any, **keywords: Any) -> None:
    return None


def yields(self: Any, draft: Any) -> Any:
    yield None


async def streams(self: Any, windows: Any) -> Any:
    yield []


def needs_two(self: Any, one: Any, two: Any) -> None:
    return None


NEXT_TURN = "expected: def next_turn(self, trajectory: Trajectory) -> Turn | Done"
NEEDS = "expected: @property def needs(self) -> Needs"


@pytest.mark.parametrize(
    ("base", "members", "says"),
    [
        (
            SwitchPolicy,
            {"next_turn": lambda self: Done()},
            "Mine.next_turn is defined as <lambda>(self): too many positional arguments; " + NEXT_TURN,
        ),
        (
            SwitchPolicy,
            {"next_turn": needs_two},
            "defined as needs_two(self: Any, one: Any, two: Any) -> None: missing a required argument: 'two'",
        ),
        (SwitchPolicy, {"next_turn": staticmethod(returns)}, None),
        (SwitchPolicy, {"next_turn": staticmethod(lambda: Done())}, "too many positional arguments"),
        (
            SwitchPolicy,
            {"next_turn": waits},
            "Mine.next_turn is defined with 'async def', it must be a plain",
        ),
        (SwitchPolicy, {"next_turn": Done()}, "Mine.next_turn is Done Done(note=None), not a method"),
        (
            SwitchPolicy,
            {"watch": waits},
            "nobody awaits it; expected: def watch(self, draft: Draft) -> Cut | ",
        ),
        (SwitchPolicy, {"watch": yields}, "Mine.watch is a generator (it has 'yield'), it must return its"),
        (
            SwitchPolicy,
            {"review": returns},
            "Mine.review is a plain 'def', it must be defined with 'async def'; "
            "expected: async def review(self, draft: Draft, context: Context) -> Keep | Cut",
        ),
        (SwitchPolicy, {"review": label}, "Mine.review is defined as label(self: Any, windows: Any)"),
        (SwitchPolicy, {"prepare": yields}, "it must be defined with 'async def'"),
        (SwitchPolicy, {"needs": returns}, "Mine.needs is a method, it must be a property; " + NEEDS),
        (SwitchPolicy, {"needs": property(waits)}, "Mine.needs is defined with 'async def'"),
        (
            SwitchPolicy,
            {"needs": {"labels": True}},
            "Mine.needs is dict {'labels': True}, it must be tessy.Needs",
        ),
        (SwitchPolicy, {"needs": None}, "Mine.needs is None, it must be tessy.Needs"),
        (SwitchPolicy, {"needs": Needs}, "it must be tessy.Needs"),
        (
            SwitchPolicy,
            {"candidates": "two"},
            "Mine.candidates is str 'two', it must be int; expected: @prop",
        ),
        (
            SwitchPolicy,
            {"__init__": lambda self: None},
            "expected: def __init__(self, options: Options) -> None",
        ),
        (SwitchPolicy, {"__init__": needs_two}, "missing a required argument: 'two'"),
        (SwitchPolicy, {"__init__": waits}, "Mine.__init__ is defined with 'async def'"),
        (
            StyleDetector,
            {"__init__": lambda self, options: None},
            "got an unexpected keyword argument 'model'",
        ),
        (
            StyleDetector,
            {"label": returns},
            "Mine.label is a plain 'def', it must be defined with 'async def'",
        ),
        (StyleDetector, {"label": streams}, "Mine.label is an asynchronous generator (it has 'yield')"),
        (StyleDetector, {"forget": waits}, "Mine.forget is defined with 'async def'"),
        (StyleDetector, {"start": lambda self: None}, "expected: async def start(self) -> None"),
        (
            Backend,
            {"__init__": lambda self, options, *, url=None: None},
            "expected: def __init__(self, model: str, options: Options, *, url: str | None = None) -> None",
        ),
        (
            Backend,
            {"session": lambda self, prompt: None},
            "expected: def session(self, prompt: Prompt, key: str)",
        ),
        (Backend, {"session": waits}, "Mine.session is defined with 'async def'"),
        (Backend, {"capabilities": returns}, "expected: @property def capabilities(self) -> Capabilities"),
        (Backend, {"capabilities": "all"}, "Mine.capabilities is str 'all', it must be tessy.Capabilities"),
        (Backend, {"close": returns}, "expected: async def close(self) -> None"),
    ],
)
def test_a_breach_names_method_fault_and_what_is_expected(
    base: type[Any], members: dict[str, Any], says: str | None
) -> None:
    found = of(base, **members)
    assert found is None if says is None else found is not None and says in found


@pytest.mark.parametrize(
    ("needs", "says"),
    [
        ("{'labels': True}", "needs must be tessy.Needs, it is dict"),
        (
            "Needs(roles='teacher')",
            "needs.roles is 'teacher', it must be a tuple of names, like ('teacher',)",
        ),
        ("Needs(roles=('teacher', 7))", "needs.roles is ('teacher', 7), it must be a tuple of names"),
        ("Needs(roles=())", "needs.roles is empty, somebody must write"),
        ("Needs(continues='student')", "needs.continues is 'student'"),
        ("Needs(scores=('judge',))", "needs.scores has 'judge', roles are teacher, student"),
        (
            "Needs(top_logprobs=5)",
            "needs.top_logprobs is 5, it must give numbers by role, like {'teacher': 5}",
        ),
        ("Needs(top_logprobs={'judge': 5})", "needs.top_logprobs has 'judge', roles are teacher, student"),
        ("Needs(top_logprobs={'student': -1})", "needs.top_logprobs has -1 for 'student'"),
        ("Needs(score_alternatives={'student': True})", "needs.score_alternatives has True for 'student'"),
        ("1 / 0", "failed in needs: ZeroDivisionError"),
    ],
)
def test_needs_that_make_no_sense_are_refused_with_the_plugins_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs: str, says: str
) -> None:
    source = policy("odd").replace(
        'needs = Needs(roles=("teacher",), continues=())', f"needs = property(lambda self: {needs})"
    )
    assert needs in source
    monkeypatch.syspath_prepend(str(tmp_path))
    module = install(tmp_path, "odd-pack", source)
    try:
        make = Maker(Registry.discover({}), {})
        spec = Spec.parse("policy", "odd")
        with pytest.raises(PluginError, match=r"^policy 'odd' \(package odd-pack\)") as caught:
            make.needs(spec, make.policy(spec))
    finally:
        sys.modules.pop(module, None)
    assert says in str(caught.value)


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **keywords: Any) -> Any:
        return function(*args, **keywords)

    return wrapper


class _Own(Options):
    pass


@pytest.mark.parametrize(
    ("base", "members"),
    [
        (SwitchPolicy, {"next_turn": lambda self, t: Done()}),
        (SwitchPolicy, {"next_turn": lambda self, t, more=None: Done()}),
        (SwitchPolicy, {"next_turn": lambda *args: Done()}),
        (SwitchPolicy, {"next_turn": classmethod(lambda cls, t: Done())}),
        (SwitchPolicy, {"next_turn": functools.lru_cache(lambda self, t: Done())}),
        (SwitchPolicy, {"next_turn": functools.partialmethod(returns)}),
        (SwitchPolicy, {"review": wrapped(waits)}),
        (SwitchPolicy, {"needs": functools.cached_property(lambda self: Needs())}),
        (SwitchPolicy, {"needs": property(lambda self: Needs())}),
        (SwitchPolicy, {"helper": lambda: None, "_private": lambda: None, "Options": _Own}),
        (SwitchPolicy, {"__init__": lambda self, options, extra=None: None, "candidates": 2}),
        (StyleDetector, {"__init__": lambda self, options, model=None: None, "lookahead": 3}),
        (StyleDetector, {"start": waits, "forget": returns}),
        (Backend, {"__init__": lambda self, *args, **keywords: None}),
    ],
)
def test_what_the_core_can_call_is_accepted(base: type[Any], members: dict[str, Any]) -> None:
    assert of(base, **members) is None


def test_every_shipped_plugin_fills_in_its_contract() -> None:
    registry = Registry.discover({})
    ours = [entry for entry in registry.entries() if entry.package == "tessy-llm"]
    assert len(ours) >= 9
    for entry in ours:
        assert entry.kind is not None
        assert breach(registry.load(entry.kind, entry.name), BASES[entry.kind]) is None


WRONG = """
from tessy import Done, Needs, Plugin, SwitchPolicy, hookimpl

class Wrong(SwitchPolicy):
    needs = Needs()

    def next_turn(self, trajectory):
        return Done()

    def review(self, draft, context):
        return None

@hookimpl
def tessy_switch_policies():
    return [Plugin("wrong", "does not fit", lambda: Wrong)]
"""


def test_a_run_refuses_it_before_anything_is_written(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "wrong-pack", WRONG)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    prompts = write_prompts(tmp_path / "p.jsonl", 1)
    found = tessy(
        "run", prompts, "-o", tmp_path / "run", "--policy", "wrong", *scripted(), env=environ, code=2
    )
    assert found.stderr == (
        "tessy: policy 'wrong' (package wrong-pack 1.0) cannot be used: Wrong.review is a plain 'def', it "
        "must be defined with 'async def'; expected: async def review(self, draft: Draft, context: Context) "
        "-> Keep | Cut\n"
    )
    assert not (tmp_path / "run").exists()
