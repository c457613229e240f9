"""Types as users meet them: right usage passes both checkers, mistakes are found, nothing is left unknown."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MISTAKES = [
    number
    for number, line in enumerate((HERE / "mistakes.py").read_text().splitlines(), 1)
    if line.endswith("# mistake")
]


def mypy(name: str) -> list[int]:
    """Lines on which mypy, strict, finds an error."""
    environment = {**os.environ, "MYPYPATH": f"{ROOT}:{ROOT / 'backends'}"}
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(HERE / name)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode in (0, 1), done.stderr
    return sorted({int(n) for n in re.findall(rf"{re.escape(name)}:(\d+): error", done.stdout)})


@pytest.mark.slow
def test_mypy() -> None:
    assert mypy("usage.py") == []
    assert mypy("mistakes.py") == MISTAKES


@pytest.mark.slow
def test_pyright(tmp_path: Path) -> None:
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(
        json.dumps(
            {
                "include": [os.path.relpath(HERE, tmp_path)],
                "extraPaths": [str(ROOT), str(ROOT / "backends")],
                "typeCheckingMode": "strict",
            }
        )
    )
    command = [
        sys.executable,
        "-m",
        "pyright",
        "-p",
        str(settings),
        "--pythonpath",
        sys.executable,
        "--outputjson",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    found = [
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1)
        for one in json.loads(done.stdout)["generalDiagnostics"]
        if one["severity"] == "error"
    ]
    assert [line for name, line in found if name == "usage.py"] == []
    assert sorted({line for name, line in found if name == "mistakes.py"}) == MISTAKES
