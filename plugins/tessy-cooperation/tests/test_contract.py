"""Every policy keeps what tessy asks of switch policies: its own suite, inherited."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cast import NAMES, make, scripted
from scorer import Scorer
from tessy import Backend, StyleDetector, SwitchPolicy
from tessy.plugins import Registry
from tessy.testing import ScriptedOptions
from tessy.testing.suites import SwitchPolicySuite
from tessy.types import Role

PACKAGE = Path(__file__).parents[1]


class TestPolicies(SwitchPolicySuite):
    entry_point = "tessy_cooperation.plugin"

    @pytest.fixture(params=NAMES)
    def policy(self, request: pytest.FixtureRequest) -> SwitchPolicy:
        return make(request.param)

    def backend(self, role: Role, options: ScriptedOptions) -> Backend:
        return scripted(role, options)

    def detector(self) -> StyleDetector:
        return Scorer()


def test_each_is_one_short_file() -> None:
    for name in NAMES:
        path = PACKAGE / "tessy_cooperation" / f"{name.replace('-', '_')}.py"
        assert len(path.read_text().splitlines()) <= 80, path.name


def test_the_readme_names_all_policies_and_options() -> None:
    text = (PACKAGE / "README.md").read_text()
    for name in NAMES:
        assert f"`{name}`" in text
        for option in type(make(name)).Options.model_fields:
            assert f"`{option}`" in text, (name, option)


def test_the_entry_point_is_installed() -> None:
    declared = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]["entry-points"]["tessy"]
    assert declared == {"cooperation": TestPolicies.entry_point}
    entries = {e.name: e for e in Registry.discover().entries() if e.package == "tessy-cooperation"}
    assert set(NAMES) <= set(entries)
    assert {entries[name].status for name in NAMES} == {"ok"}
