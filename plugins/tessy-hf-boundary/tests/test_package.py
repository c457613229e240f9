"""Installed as a package of its own, it is found and used by name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]
USE = """
import asyncio, sys
from tessy import Chunk, Draft, Turn
from tessy.detection import Detection
from tessy.options import build
from tessy.plugins import Registry
from tessy.spec import Spec

registry = Registry.discover()
assert "torch" not in sys.modules
spec = Spec.parse("detector", sys.argv[1])
cls = registry.load("detector", spec.name)
options = build("detector", spec.name, registry.origin("detector", spec.name).package, cls, spec.options)

async def main():
    detection = Detection(cls(options, model=spec.model), registry.origin("detector", spec.name))
    await detection.start()
    draft = Draft(Turn("student"))
    draft.extend(Chunk("Okay, hmm, wait: 12 + 3 = 15. So now", finish="stop"))
    await detection.track("t").extend(draft)
    await detection.close()
    print(detection.origin, [draft.text[x.start:x.end] for x in draft.labels if not x.style])

asyncio.run(main())
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--target", str(folder), str(FOLDER)],
        check=True,
        timeout=120,
    )
    return folder


def run(site: Path, *command: str) -> str:
    environ = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, *command], env=environ, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


def test_it_is_listed_with_its_options(site: Path) -> None:
    shown = run(site, "-m", "tessy", "plugins", "hf-boundary")
    assert "tessy-hf-boundary" in shown
    assert "threshold" in shown


def test_it_is_used_by_name(site: Path, folders: Callable[[str], Path]) -> None:
    shown = run(site, "-c", USE, f"hf-boundary:{folders('next')}?device=cpu&style_label=LABEL_1&window=200")
    assert "package tessy-hf-boundary" in shown
    assert "12 + 3 = 15." in shown
    assert "wait" not in shown


def test_a_run_with_it_ends_and_goes_on_when_the_folder_has_moved(
    site: Path, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(folders("next"), model)
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(f'{{"id": "p{i}", "prompt": "What is {i} + 1?"}}\n' for i in range(6)))
    # The scripted models write talk and sums, which the classifier has learnt to tell apart.
    pair = [f"--{role}=scripted:{role}?think=60" for role in ("teacher", "student")]
    command = ["-m", "tessy", "run", str(prompts), "-o", str(tmp_path / "run"), *pair, "--policy", "tessy"]
    run(site, *command, "-n", "2", "--detector", f"hf-boundary:{model}?device=cpu")
    moved = model.rename(tmp_path / "moved")
    run(site, *command, "--detector", f"hf-boundary:{moved}?device=cpu")
    rows = [json.loads(line) for line in (tmp_path / "run" / "data.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"p{i}" for i in range(6)]
    for row in rows:
        spans = [span for span in row["tessy"]["spans"] if span["phase"] == "think"]
        assert {span["author"] for span in spans} == {"teacher", "student"}
        assert {span["kind"] for span in spans} == {"style", "capability"}
        assert row["tessy"]["detector"].startswith("hf-boundary:")
