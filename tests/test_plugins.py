"""Plugins from real packages, good and bad: one that is broken never stops the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_packages import install, policy
from tessy.abc import StyleDetector, SwitchPolicy
from tessy.errors import (
    ConfigError,
    PluginConflict,
    PluginIncompatible,
    PluginLoadError,
    PluginNotFound,
)
from tessy.plugins import Entry, Registry

HEAD = "from tessy.hooks import Plugin, hookimpl\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def discover(**environ: str) -> Registry:
    registry = Registry.discover(environ)
    assert_ours_work(registry)
    return registry


def assert_ours_work(registry: Registry) -> None:
    assert issubclass(registry.load("policy", "teacher-only"), SwitchPolicy)


def of(registry: Registry, package: str) -> list[Entry]:
    return [entry for entry in registry.entries() if entry.package == package]


def test_built_in_plugins_are_there_and_load() -> None:
    registry = discover()
    ours = {(entry.kind, entry.name) for entry in registry.entries() if entry.status == "ok"}
    assert ours >= {
        ("backend", "scripted"),
        ("detector", "lexicon"),
        ("policy", "tessy"),
        ("policy", "teacher-only"),
        ("policy", "student-only"),
    }
    assert registry.load("policy", "tessy").__name__ == "TessyPolicy"
    assert issubclass(registry.load("detector", "lexicon"), StyleDetector)
    assert registry.load("backend", "scripted").__name__ == "ScriptedBackend"
    assert registry.origin("policy", "tessy").package == "tessy-llm"


def test_a_third_partys_policy_is_found_with_its_package(site: Path) -> None:
    install(site, "my-policies", policy("mine"), version="2.3")
    registry = discover()
    assert of(registry, "my-policies") == [
        Entry("policy", "mine", "my-policies", "2.3", "ok", "", "a policy for tests")
    ]
    assert registry.load("policy", "mine").__name__ == "Mine"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import surely_missing_module", "No module named 'surely_missing_module'"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("1 / 0", "ZeroDivisionError"),
        ("def :", "SyntaxError"),
        ("x = 1", "implements no hook; known hooks: tessy_backends"),
        ("def tessy_backends(): return []", "tessy_backends lacks the decorator @tessy.hookimpl"),
        (
            HEAD + "@hookimpl\ndef tessy_backend(): return []",
            "unknown hook tessy_backend; did you mean tessy_backends?",
        ),
        (
            HEAD + "@hookimpl\ndef tessy_backends(config): return []",
            "tessy_backends asks for config, tessy-llm",
        ),
        (
            HEAD + "@hookimpl\ndef tessy_backends(): raise KeyError('x')",
            "tessy_backends() failed: KeyError: 'x'",
        ),
        (
            HEAD + "@hookimpl\ndef tessy_backends(): return [1]",
            "must return a list of tessy.Plugin, int is in it",
        ),
        (HEAD + "@hookimpl\ndef tessy_backends(): return 7", "not iterable"),
        (HEAD + "@hookimpl\ndef tessy_backends(): return Plugin('a', 'b', int)", "this is a single one"),
        (HEAD + "@hookimpl\ndef tessy_backends(): return [Plugin('a', 'b', 7)]", "a function load"),
        (
            HEAD + "@hookimpl\ndef tessy_backends(): return [Plugin('a:b', 's', int)]",
            "a name begins with a letter",
        ),
        (
            HEAD + "@hookimpl\ndef tessy_backends():\n  yield Plugin('a', 'b', int)\n  1/0",
            "ZeroDivisionError",
        ),
    ],
)
def test_a_broken_package_is_a_row_and_nothing_more(site: Path, source: str, says: str) -> None:
    install(site, "broken-one", source)
    install(site, "good-one", policy("good"))
    registry = discover()
    (row,) = of(registry, "broken-one")
    assert row.status == "broken"
    assert says in row.reason
    registry.load("policy", "good")


def test_what_works_in_a_package_with_a_broken_hook_still_works(site: Path) -> None:
    install(site, "half-broken", policy("half") + "\n@hookimpl\ndef tessy_backends(): 1 / 0\n")
    registry = discover()
    assert {(row.kind, row.status) for row in of(registry, "half-broken")} == {
        ("policy", "ok"),
        ("backend", "broken"),
    }
    registry.load("policy", "half")


def test_a_package_that_may_register_nothing_is_fine(site: Path) -> None:
    install(site, "quiet-one", HEAD + "@hookimpl\ndef tessy_backends(): return []")
    assert of(discover(), "quiet-one") == []


def test_an_unreadable_entry_point_file_hides_no_other(site: Path) -> None:
    install(site, "garbled-one", policy("garbled"))
    (site / "garbled_one-1.0.dist-info" / "entry_points.txt").write_bytes(b"[tessy]\ngarbled = \xff\xfe\n")
    install(site, "good-two", policy("good"))
    registry = discover()
    (row,) = of(registry, "garbled-one")
    assert row.status == "broken"
    assert "entry_points.txt cannot be read" in row.reason
    registry.load("policy", "good")


def test_an_entry_point_that_is_none_is_a_row(site: Path) -> None:
    install(site, "odd-entry", policy("odd"), entry="odd")
    (site / "odd_entry-1.0.dist-info" / "entry_points.txt").write_text("[tessy]\nodd = ???\n")
    (row,) = of(discover(), "odd-entry")
    assert row.status == "broken"


@pytest.mark.parametrize(
    ("requires", "fits"),
    [
        ("tessy-llm>=0.1", True),
        ("Tessy_LLM", True),
        ("tessy-llm<0.1", False),
        ("tessy-llm>=99", False),
        ("tessy-llm>=99; extra == 'later'", True),
        ("tessy-llm>=99; python_version < '3'", True),
        ("not a requirement !!", True),
        ("other>=99", True),
    ],
)
def test_the_declared_requirement_on_tessy_is_checked(site: Path, requires: str, fits: bool) -> None:
    install(site, "demanding", policy("picky"), requires=[requires])
    registry = discover()
    (row,) = of(registry, "demanding")
    assert row.status == ("ok" if fits else "incompatible")
    if not fits:
        assert requires in row.reason
        assert "this is tessy-llm" in row.reason
        assert "demanding" not in sys.modules


def test_an_incompatible_package_that_is_asked_for_says_so(site: Path) -> None:
    install(site, "tessy-picky", policy("picky"), requires=["tessy-llm>=99"])
    with pytest.raises(PluginIncompatible, match=r"tessy-picky 1\.0 is incompatible: needs tessy-llm>=99"):
        discover().load("policy", "picky")


def test_two_packages_with_one_name_are_both_named_and_only_that_name_is_lost(site: Path) -> None:
    install(site, "first-pack", policy("coin"))
    install(site, "second-pack", policy("coin"))
    install(site, "third-pack", policy("dice"))
    registry = discover()
    for package in ("first-pack", "second-pack"):
        (row,) = of(registry, package)
        assert row.status == "broken"
        assert "first-pack 1.0 and second-pack 1.0" in row.reason
    with pytest.raises(PluginConflict, match=r"first-pack 1\.0 and second-pack 1\.0.*TESSY_DISABLE_PLUGINS"):
        registry.load("policy", "coin")
    registry.load("policy", "dice")
    discover(TESSY_DISABLE_PLUGINS="second-pack").load("policy", "coin")


def test_our_own_name_taken_by_another_is_a_conflict_not_a_silent_loss(site: Path) -> None:
    install(site, "impostor", policy("tessy"))
    with pytest.raises(PluginConflict, match="impostor"):
        discover().load("policy", "tessy")


def test_one_package_registering_a_name_twice_is_told_so(site: Path) -> None:
    install(site, "stutter", policy("s").replace("return [", "return 2 * ["))
    with pytest.raises(PluginConflict, match=r"package stutter 1\.0 registers it 2 times"):
        discover().load("policy", "s")


def test_equal_entry_point_names_are_no_conflict(site: Path) -> None:
    install(site, "left-pack", policy("left"), entry="plugin")
    install(site, "right-pack", policy("right"), entry="plugin")
    registry = discover()
    registry.load("policy", "left")
    registry.load("policy", "right")


def test_two_packages_that_install_one_module_are_reported(site: Path) -> None:
    install(site, "a-pack", policy("shared"), module="same_module")
    install(site, "b-pack", policy("shared"), module="same_module")
    registry = discover()
    (row,) = of(registry, "b-pack")
    assert "belongs to package a-pack 1.0 already" in row.reason
    registry.load("policy", "shared")


@pytest.mark.parametrize("name", ["some-pack", "Some_Pack", "its-entry", " x , some.pack "])
def test_packages_can_be_disabled_by_either_name_and_are_not_imported(site: Path, name: str) -> None:
    install(site, "some-pack", policy("some"), entry="its-entry")
    registry = discover(TESSY_DISABLE_PLUGINS=name)
    (row,) = of(registry, "some-pack")
    assert (row.status, row.reason) == ("disabled", "disabled by TESSY_DISABLE_PLUGINS")
    assert "some_pack" not in sys.modules
    with pytest.raises(PluginNotFound, match="disabled by TESSY_DISABLE_PLUGINS"):
        registry.load("policy", "some")


def test_only_the_wanted_packages_and_ours_are_loaded(site: Path) -> None:
    install(site, "wanted-pack", policy("wanted"))
    install(site, "other-pack", "1 / 0")
    registry = discover(TESSY_LOAD_PLUGINS="wanted-pack")
    assert [row.status for row in of(registry, "wanted-pack")] == ["ok"]
    assert [row.status for row in of(registry, "other-pack")] == ["disabled"]
    assert registry.warnings == ()


def test_a_name_in_a_variable_that_nothing_has_is_a_warning() -> None:
    (warning,) = discover(TESSY_DISABLE_PLUGINS="no-such").warnings
    assert "TESSY_DISABLE_PLUGINS names 'no-such'" in warning


def test_a_misspelt_name_gets_the_nearest_and_all_there_are() -> None:
    with pytest.raises(PluginNotFound, match=r"did you mean 'tessy'\?\ninstalled: .*teacher-only") as caught:
        discover().load("policy", "tesy")
    assert isinstance(caught.value, ConfigError)


def test_a_name_of_another_kind_is_recognised() -> None:
    with pytest.raises(PluginNotFound, match="'lexicon' is a detector"):
        discover().load("policy", "lexicon")


@pytest.mark.parametrize(
    ("load", "says"),
    [
        (
            "def load(): import surely_missing_module",
            "ModuleNotFoundError: No module named 'surely_missing_module'",
        ),
        ("def load(): raise SystemExit(3)", "SystemExit"),
        ("def load(): return int", "must return a subclass of tessy.SwitchPolicy, it returned int"),
        ("def load(): return None", "it returned None"),
        ("from tessy import SwitchPolicy\ndef load(): return SwitchPolicy", "leaves needs, next_turn"),
    ],
)
def test_a_class_that_cannot_be_used_names_plugin_and_package(site: Path, load: str, says: str) -> None:
    hook = "\n@hookimpl\ndef tessy_switch_policies(): return [Plugin('bad', 's', load)]"
    install(site, "bad-loader", HEAD + load + hook)
    registry = discover()
    with pytest.raises(PluginLoadError, match=r"policy 'bad' \(package bad-loader 1\.0\)") as caught:
        registry.load("policy", "bad")
    assert says in str(caught.value)


def test_what_a_plugin_raises_on_purpose_reaches_the_user_as_it_is(site: Path) -> None:
    load = "from tessy.errors import ConfigError\ndef load(): raise ConfigError('install the extra')"
    hook = "\n@hookimpl\ndef tessy_switch_policies(): return [Plugin('bad', 's', load)]"
    install(site, "polite", HEAD + load + hook)
    with pytest.raises(ConfigError, match=r"^install the extra$"):
        discover().load("policy", "bad")
