"""``tessy new-plugin``: three packages from it, installed from wheels, pass their tests and run together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cli.shell import rows, tessy
from helpers import check_row, write_prompts

KINDS = {"nudge": "policy", "fillers": "detector", "parrot": "backend"}
TEXT = "Okay, so 3 + 4 = 7. Hmm, wait. Maybe 3 + 4 is 8? No, 3 + 4 = 7, so it is 7. Alright, wait, so what? "
LONGEST = "a23456789-123456789-123456789-123456789z"


def done(*command: object, **options: Any) -> str:
    """Run to the end; what it printed."""
    made = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL, **options
    )
    assert made.returncode == 0, (made.stdout, made.stderr)
    return made.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new package of each kind."""
    folder = tmp_path_factory.mktemp("packages")
    for name, kind in KINDS.items():
        said = tessy("new-plugin", name, "--kind", kind, cwd=folder).stdout
        for words in (f"tessy-{name}: package tessy-{name}", "pip install -e", "pytest", f"plugins {name}"):
            assert words in said
        assert len(said.splitlines()) <= 10
    return folder


@pytest.fixture(scope="module")
def fresh(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that has the three from wheels, and else what this one has."""
    folder = tmp_path_factory.mktemp("fresh")
    done(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    site = done(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # Linked, not installed anew: that would take minutes.
    linked = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (Path(site) / "linked.pth").write_text(linked)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheels = folder / "wheels"
    sources = [packages / f"tessy-{name}" for name in KINDS]
    done(*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, *sources)
    # With dependencies, so pip agrees that this tessy is the one that they ask for.
    done(*pip, "--python", python, "install", "--no-index", *sorted(wheels.iterdir()))
    return python


def test_they_are_found(fresh: Path) -> None:
    listed = json.loads(done(fresh, "-m", "tessy", "plugins", "--json"))
    ours = {row["package"]: row for row in listed if row["package"].removeprefix("tessy-") in KINDS}
    assert {row["name"]: row["kind"] for row in ours.values()} == KINDS
    assert {row["status"] for row in ours.values()} == {"ok"}
    assert {row["version"] for row in ours.values()} == {"0.1.0"}
    shown = done(fresh, "-m", "tessy", "plugins", "nudge")
    assert "tokens that the teacher then writes" in shown
    assert "≥ 1" in shown


def test_their_own_tests_pass(packages: Path, fresh: Path) -> None:
    processes = {
        name: subprocess.Popen(
            [fresh, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            cwd=packages / f"tessy-{name}", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for name in KINDS
    }  # fmt: skip
    said = {name: process.communicate(timeout=240)[0] for name, process in processes.items()}
    for name, process in processes.items():
        assert process.returncode == 0, f"{name}:\n{said[name]}"
        assert " passed" in said[name]


def test_three_external_packages_from_wheels_run_together_in_one_run(tmp_path: Path, fresh: Path) -> None:
    (tmp_path / "model.txt").write_text(TEXT)
    prompts = write_prompts(tmp_path / "p.jsonl", 3)
    command = [
        fresh, "-m", "tessy", "run", prompts, "-o", tmp_path / "run",
        "--policy", "nudge?hesitation=4&tokens=3", "--detector", "fillers?reach=0",
        "--backend", f"parrot:{tmp_path / 'model.txt'}?think=50&answer=4",
    ]  # fmt: skip
    done(*command)
    found = rows(tmp_path / "run")
    assert len(found) == 3
    for row in found:
        check_row(row)
        assert row["tessy"]["policy"] == "nudge?hesitation=4&tokens=3"
        assert row["tessy"]["detector"] == "fillers?reach=0"
        assert row["tessy"]["models"]["teacher"].startswith("parrot:")
        spans, content = row["tessy"]["spans"], row["messages"][-1]["content"]
        assert set(content.replace("<think>", "").replace("</think>", "").split()) <= set(TEXT.split())
        assert {span["author"] for span in spans} == {"student", "teacher"}
        assert spans[-1] == spans[-1] | {"author": "student", "phase": "answer", "tokens": 4}
        for span, following in pairwise(spans):
            if following["author"] == "teacher":
                # It came in where the student had hesitated, and wrote what it may.
                last = content[span["start"] : span["end"]].split()[-1]
                assert last.strip(",.?").lower() in ("alright", "hmm", "maybe", "okay", "so", "wait")
                assert following["tokens"] <= 3
    assert (tmp_path / "run" / "run.yaml").read_text().count("tessy-parrot") == 1


def test_they_are_clean_and_typed(packages: Path, tmp_path: Path) -> None:
    """Also with the longest name that is allowed: lines are laid out for that."""
    for kind in KINDS.values():
        tessy("new-plugin", LONGEST, "--kind", kind, "-o", tmp_path / kind)
    for folder in (packages, tmp_path):
        done(sys.executable, "-m", "ruff", "check", "--no-cache", folder)
        done(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", folder)
    paths = [packages / f"tessy-{name}" / part for name in KINDS for part in (f"tessy_{name}", "tests")]
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache"]
    roots = os.pathsep.join(str(packages / f"tessy-{name}") for name in KINDS)
    done(*mypy, *paths, env={**os.environ, "MYPYPATH": roots}, cwd=packages)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["new-plugin", "openai", "--kind", "policy"], "there is a backend of that name, of package"),
        (["new-plugin", "Bad name", "--kind", "policy"], "plugin 'Bad name': a name begins with a letter"),
        (["new-plugin", "mine", "--kind", "policy", "-o", "."], "exists already, nothing was written"),
        (["new-plugin", "mine", "--kind", "router"], "'router' is not one of"),
        (["new-plugin", "mine"], "Missing option '--kind'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_and_nothing_is_written(tmp_path: Path, command: list[str], says: str) -> None:
    found = tessy(*command, cwd=tmp_path, code=2)
    assert says in found.stderr
    assert "Traceback" not in found.stderr
    assert list(tmp_path.iterdir()) == []
