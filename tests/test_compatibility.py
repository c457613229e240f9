"""Plugins of other times: old ones go on working, newer ones are refused without being imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.shell import rows, scripted, tessy
from helpers import check_row, write_prompts
from plugin_packages import install, policy
from tessy import __version__
from tessy.hooks import hookspec
from tessy.plugins import Entry, Registry
from tessy.plugins.requirement import unmet

FROZEN = (Path(__file__).parent / "frozen" / "tessy_frozen_0_1.py").read_text(encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def environ(site: Path) -> dict[str, str]:
    paths = [str(site), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def freeze(site: Path) -> None:
    install(site, "tessy-frozen", FROZEN, module="tessy_frozen_0_1", requires=["tessy-llm>=0.1"])


def of(registry: Registry, package: str) -> list[Entry]:
    return [entry for entry in registry.entries() if entry.package == package]


# Hooks as a later version may declare them.


@hookspec
def tessy_backends(home: Path) -> Any: ...


@hookspec
def tessy_style_detectors() -> Any: ...


@hookspec
def tessy_switch_policies(home: Path, languages: tuple[str, ...]) -> Any: ...


LATER = SimpleNamespace(
    tessy_backends=tessy_backends,
    tessy_style_detectors=tessy_style_detectors,
    tessy_switch_policies=tessy_switch_policies,
)


def test_hooks_that_gained_arguments_still_take_an_old_plugin(site: Path) -> None:
    freeze(site)
    newer = policy("newer").replace(
        "def tessy_switch_policies():",
        "def tessy_switch_policies(languages):\n    global GOT; GOT = languages",
    )
    install(site, "newer-pack", newer)
    arguments = {"home": site, "languages": ("en", "zh")}
    registry = Registry.discover({}, specs=LATER, arguments=arguments)
    assert [(row.kind, row.name, row.status) for row in of(registry, "tessy-frozen")] == [
        ("backend", "counter", "ok"),
        ("detector", "even", "ok"),
        ("policy", "relay", "ok"),
    ]
    assert registry.load("backend", "counter").__name__ == "CounterBackend"
    assert registry.load("policy", "relay").__name__ == "RelayPolicy"
    # Whoever asks for one of the new arguments gets that one.
    assert [row.status for row in of(registry, "newer-pack")] == ["ok"]
    assert sys.modules["newer_pack"].GOT == ("en", "zh")


def test_an_argument_that_this_version_lacks_is_named(site: Path) -> None:
    source = policy("newer").replace("def tessy_switch_policies():", "def tessy_switch_policies(languages):")
    install(site, "newer-pack", source)
    (row,) = of(Registry.discover({}), "newer-pack")
    assert row.status == "broken"
    assert "tessy_switch_policies asks for languages" in row.reason
    assert f"tessy-llm {__version__} passes it nothing" in row.reason


def test_an_old_plugin_of_each_kind_runs(tmp_path: Path, site: Path, environ: dict[str, str]) -> None:
    freeze(site)
    prompts = write_prompts(tmp_path / "p.jsonl", 2)
    tessy(
        "run", prompts, "-o", tmp_path / "run", "--backend", "counter:any?words=7", "--detector", "even",
        "--policy", "relay?longest=3", env=environ,
    )  # fmt: skip
    found = rows(tmp_path / "run")
    assert len(found) == 2
    for row in found:
        check_row(row)
        assert row["tessy"]["prepared"]["question"] == row["messages"][0]["content"]
        # The student is cut at its first odd number, the teacher writes three words.
        content = row["messages"][-1]["content"]
        assert [content[s["start"] : s["end"]].split() for s in row["tessy"]["spans"]] == [
            ["student0"],
            ["teacher1", "teacher2", "teacher3"],
            ["student4"],
            ["teacher5", "teacher6"],
            ["student0"],
        ]


def test_a_plugin_for_a_newer_tessy_is_refused_by_the_run_and_never_imported(
    tmp_path: Path, site: Path, environ: dict[str, str]
) -> None:
    witness = tmp_path / "imported"
    source = f"open({str(witness)!r}, 'w').close()\n" + policy("picky")
    install(site, "tessy-picky", source, version="3.1", requires=["tessy-llm>=99"])
    prompts = write_prompts(tmp_path / "p.jsonl", 1)
    command = ["run", prompts, "-o", tmp_path / "run", *scripted()]
    found = tessy(*command, "--policy", "picky", env=environ, code=2)
    assert found.stderr == (
        "tessy: policy 'picky': package tessy-picky 3.1 is incompatible: needs tessy-llm>=99, this is "
        f"tessy-llm {__version__}; install tessy-llm>=99, or a version of tessy-picky that is made for this "
        "one\n"
    )
    assert not (tmp_path / "run").exists()
    # It is in nobody's way.
    tessy(*command, "--policy", "tessy", "--detector", "lexicon", env=environ)
    assert not witness.exists()


def test_a_name_that_two_packages_claim_is_refused_by_the_run(
    tmp_path: Path, site: Path, environ: dict[str, str]
) -> None:
    install(site, "first-pack", policy("coin"), version="1.1")
    install(site, "second-pack", policy("coin"), version="2.2")
    prompts = write_prompts(tmp_path / "p.jsonl", 1)
    command = ["run", prompts, "-o", tmp_path / "run", *scripted()]
    found = tessy(*command, "--policy", "coin", env=environ, code=2)
    assert "'coin': packages first-pack 1.1 and second-pack 2.2 both register it" in found.stderr
    assert "TESSY_DISABLE_PLUGINS=PACKAGE" in found.stderr
    assert not (tmp_path / "run").exists()
    tessy(*command, "--policy", "tessy", "--detector", "lexicon", env=environ)


class Metadata:
    def __init__(self, *requires: str) -> None:
        self.requires = list(requires)


@pytest.mark.parametrize(
    ("requires", "version", "missing"),
    [
        (["tessy-llm>=0.1,<0.2"], "0.1.7", None),
        (["tessy-llm>=0.1,<0.2"], "0.2.0", "tessy-llm<0.2,>=0.1"),
        (["tessy-llm>=0.1,<0.2"], "0.2.0.dev1", "tessy-llm<0.2,>=0.1"),
        (["tessy-llm>=0.2"], "0.2.0.dev1", "tessy-llm>=0.2"),
        (["Tessy_LLM[vllm] >= 1; python_version >= '3'"], "0.9", "tessy-llm>=1"),
        (["tessy-llm>=1; python_version < '3'", "tessy-llm>=2; extra == 'new'", "other>=5"], "0.1", None),
        ([], "0.1", None),
    ],
)
def test_the_requirement_that_is_not_met(requires: list[str], version: str, missing: str | None) -> None:
    assert unmet(Metadata(*requires), version) == missing  # type: ignore[arg-type]
