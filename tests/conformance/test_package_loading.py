"""The suites load the package that is under test as a run would, and say what a run would say."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from conformance.faults import FAILURES
from plugin_packages import install
from tessy._version import __version__
from tessy.abc import SwitchPolicy
from tessy.testing.suites import SwitchPolicySuite
from tessy.testing.suites.loading import _probed

CLASSES = """
from tessy import Done, Needs, Options, SwitchPolicy

class Mine(SwitchPolicy):
    needs = Needs()

    def next_turn(self, trajectory):
        return Done()

class Other(Mine):
    pass

class Unrelated(SwitchPolicy):
    needs = Needs()

    def next_turn(self, trajectory):
        return Done()
"""
GOOD = """
from tessy import Plugin, hookimpl

def load():
    from mine_classes import Mine
    return Mine

@hookimpl
def tessy_switch_policies():
    print("a word at import")
    return [Plugin("mine", "a policy for tests", load)]
"""
HOOK = "def tessy_switch_policies():"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine_classes.py").write_text(CLASSES)
    _probed.cache_clear()
    yield tmp_path
    _probed.cache_clear()
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def policy(name: str = "Mine", module: str = "mine_classes") -> SwitchPolicy:
    cls: Any = getattr(import_module(module), name)
    made: SwitchPolicy = cls(cls.Options())
    return made


def check(given: SwitchPolicy, named: str | None = "mine_plugin") -> None:
    class TestMine(SwitchPolicySuite):
        entry_point = named

    TestMine().test_a_run_can_load_it(given)


def on_the_path(site: Path, source: str) -> None:
    (site / "mine_plugin.py").write_text(source)


def installed(site: Path, source: str) -> None:
    install(site, "mine-plugin", source)


@pytest.mark.parametrize("put", [on_the_path, installed])
def test_what_a_run_can_load_passes(site: Path, put: Callable[[Path, str], None]) -> None:
    put(site, GOOD)
    check(policy())
    check(policy("Other"))  # a test's own, derived from what is registered


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import surely_missing_module", "ModuleNotFoundError: No module named 'surely_missing_module'"),
        ("raise SystemExit(0)", "entry point 'mine_plugin': SystemExit: 0"),
        ("import os\nos._exit(0)", "importing mine_plugin ends the interpreter"),
        ("x = 1", "implements no hook; known hooks: tessy_backends"),
        (GOOD.replace("@hookimpl\n", ""), "tessy_switch_policies lacks the decorator @tessy.hookimpl"),
        (GOOD.replace(HOOK, "def tessy_switch_policies(config):"), "asks for config, tessy-llm"),
        (GOOD.replace(HOOK, "def tessy_policies():"), "implements an unknown hook tessy_policies"),
        (
            GOOD.replace(HOOK, "def tessy_style_detectors():"),
            "registers no policy: tessy_switch_policies() is",
        ),
        (GOOD.replace("return [Plugin(", "1 / 0; return [Plugin("), "tessy_switch_policies() failed: Zero"),
        (GOOD.replace('"mine"', '"my plugin"'), "a name begins with a letter"),
        (GOOD.replace("import Mine", "import Mein"), "policy 'mine' (package mine"),
        (GOOD.replace("return Mine", "return object"), "load() must return a subclass of tessy.SwitchPolicy"),
        (
            GOOD.replace("Mine", "Unrelated"),
            "no run would load mine_classes:Mine: mine_plugin registers policy mine",
        ),
        (
            GOOD.replace(
                "return Mine", "from tessy.errors import ConfigError\n    raise ConfigError('no torch')"
            ),
            "another class; policy 'mine': no torch",
        ),
    ],
)
def test_what_no_run_could_load_fails_in_words(site: Path, source: str, says: str) -> None:
    on_the_path(site, source)
    with pytest.raises(FAILURES) as caught:
        check(policy())
    assert says in str(caught.value)


def test_what_imports_only_behind_the_tests_own_imports_fails(site: Path) -> None:
    """The test file has imported the class first; a run begins with the entry point."""
    (site / "mine_circle.py").write_text(CLASSES + "\nfrom mine_plugin import load\n")
    on_the_path(site, GOOD.replace("def load", "from mine_circle import Mine\n\ndef load"))
    mine = policy(module="mine_circle")
    with pytest.raises(AssertionError, match="cannot import name 'load' from partially initialized"):
        check(mine)


def test_what_the_metadata_says_counts(site: Path) -> None:
    install(site, "mine-plugin", GOOD, requires=["tessy-llm>=99"])
    with pytest.raises(AssertionError, match=rf"needs tessy-llm>=99, this is tessy-llm {__version__}"):
        check(policy())


def test_an_entry_point_that_is_not_the_one_installed(site: Path) -> None:
    install(site, "mine-plugin", GOOD)
    with pytest.raises(
        AssertionError, match=r"mine-plugin 1\.0 names 'mine_plugin' in .* not 'mine_plugin\.hooks'"
    ):
        check(policy(), "mine_plugin.hooks")


def test_a_package_that_names_no_entry_point(site: Path) -> None:
    install(site, "mine-plugin", GOOD)
    (points,) = site.glob("*.dist-info/entry_points.txt")
    points.write_text("")
    with pytest.raises(
        AssertionError, match="package mine-plugin names nothing in the entry-point group tessy"
    ):
        check(policy())


def test_without_an_entry_point_the_installed_package_must_be_whole(site: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match="no entry point is named"):
        check(policy(), None)
    install(site, "mine-classes", CLASSES)
    with pytest.raises(AssertionError, match="implements no hook"):
        check(policy(), None)
