"""``tessy plugins`` as a user runs it, with packages that pip has installed outside the tree."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plugin_packages import install, policy, wheel

THREE = """
from tessy.hooks import Plugin, hookimpl

def backend():
    from tessy_three_backend import Echo
    return Echo

def detector():
    from tessy import Options, StyleDetector

    class Detector(StyleDetector):
        async def label(self, windows):
            return [[] for _ in windows]

    return Detector

def policy():
    from pydantic import Field
    import tessy
    from tessy import Done, Needs, SwitchPolicy

    class Coin(SwitchPolicy):
        class Options(tessy.Options):
            bias: float = Field(0.5, ge=0, le=1, description="how often the teacher writes")

        needs = Needs()

        def next_turn(self, trajectory):
            return Done()

    return Coin

@hookimpl
def tessy_backends():
    return [Plugin("echo", "says it again", backend)]

@hookimpl
def tessy_style_detectors():
    return [Plugin("blind", "sees nothing", detector)]

@hookimpl
def tessy_switch_policies():
    return [Plugin("coin", "a coin decides", policy)]
"""


def tessy(*args: str, path: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("TESSY_")}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    return subprocess.run(
        [sys.executable, "-c", "from tessy.cli import main; main()", *args],
        env=env | {"COLUMNS": "200", "NO_COLOR": "1"} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def rows(*args: str, path: Path | None = None, **environ: str) -> list[dict[str, Any]]:
    done = tessy("plugins", *args, "--json", path=path, **environ)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with all three kinds, put there by pip."""
    folder = tmp_path_factory.mktemp("wheels")
    target = tmp_path_factory.mktemp("site")
    built = wheel(folder, "tessy-three", THREE, version="0.3", requires=["tessy-llm>=0.1", "some-engine"])
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, "--target", str(target), str(built)], check=True, timeout=120, capture_output=True)
    return target


def test_a_package_installed_by_pip_is_listed_with_all_it_brings(installed: Path) -> None:
    found = [row for row in rows(path=installed) if row["package"] == "tessy-three"]
    assert found == [
        {
            "kind": kind,
            "name": name,
            "package": "tessy-three",
            "version": "0.3",
            "status": "ok",
            "reason": "",
            "summary": summary,
        }
        for kind, name, summary in [
            ("backend", "echo", "says it again"),
            ("detector", "blind", "sees nothing"),
            ("policy", "coin", "a coin decides"),
        ]
    ]


def test_ours_are_listed_beside_it(installed: Path) -> None:
    names = {(row["kind"], row["name"]) for row in rows(path=installed) if row["package"] == "tessy-llm"}
    assert names >= {("backend", "scripted"), ("detector", "lexicon"), ("policy", "tessy")}


def test_options_of_one_plugin(installed: Path) -> None:
    (row,) = rows("coin", path=installed)
    assert row["options"] == [
        {
            "name": "bias",
            "type": "float",
            "required": False,
            "default": 0.5,
            "help": "how often the teacher writes",
            "limits": "≥ 0, ≤ 1",
        }
    ]
    shown = tessy("plugins", "coin", path=installed).stdout
    assert "policy coin" in shown
    assert "tessy-three 0.3" in shown
    assert re.search(r"bias +float, ≥ 0, ≤ 1 +0\.5 +how often the teacher writes", shown)


def test_a_plugin_that_does_not_load_is_shown_with_the_reason(installed: Path) -> None:
    (row,) = rows("echo", path=installed)
    assert row["status"] == "broken"
    assert "package tessy-three 0.3" in row["reason"]
    assert "No module named 'tessy_three_backend'" in row["reason"]


def test_the_table_shows_what_is_wrong(tmp_path: Path) -> None:
    install(tmp_path, "broken-pack", "import surely_missing_module")
    install(tmp_path, "new-pack", policy("new"), requires=["tessy-llm>=99"])
    install(
        tmp_path, "markup-pack", policy("markup").replace("a policy for tests", "[red]a[/red] \\x1b[31mred")
    )
    done = tessy("plugins", path=tmp_path, TESSY_DISABLE_PLUGINS="no-such-pack")
    assert done.returncode == 0
    for words in (
        "No module named 'surely_missing_module'",
        "needs tessy-llm>=99",
        "incompatible",
        "[red]a[/red]",
    ):
        assert words in done.stdout
    assert "\x1b" not in done.stdout
    assert "'no-such-pack'" in done.stderr


def test_packages_are_found_by_name_too(tmp_path: Path) -> None:
    install(tmp_path, "broken-pack", "import surely_missing_module")
    (row,) = rows("broken-pack", path=tmp_path)
    assert (row["kind"], row["status"], row["options"]) == (None, "broken", [])


def test_an_unknown_name_is_wrong_use() -> None:
    done = tessy("plugins", "tesy")
    assert done.returncode == 2
    assert done.stderr.startswith("tessy: no plugin 'tesy'; did you mean 'tessy'?")
    assert done.stdout == ""
