"""The pages' Python, as a reader copies it into a project of their own: strict mypy finds nothing in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pytest

from docs.blocks import Block, blocks
from docs.workspace import ROOT

PAGES = [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md", *sorted(ROOT.glob("plugins/*/README.md"))]
EXAMPLE = ROOT / "examples" / "every-other"
"""Where readers find the first page's package again."""


def lay_out(page: str, found: Iterable[Block]) -> dict[str, str]:
    """A page's Python as files, every line where it stands on the page.

    A file that is written again has its last state; an earlier one is a module of its own. So is what is run:
    from a block that begins with imports up to the next one that does.
    """
    files: dict[str, str] = {}
    running = ""
    for block in found:
        blank = "\n" * (block.line - 1)
        path = block.marks.get("file")
        if path is None:
            if re.match(r"(#.*\n)*(import|from) ", block.text):
                running = f"{page}_run_{block.line}.py"
            before = files.get(running, "")
            files[running] = before + blank[before.count("\n") :] + block.text
            continue
        if path in files:
            files[f"{page}_before_{block.line}.py"] = files[path]
        files[path] = blank + block.text
    return files


def root(file: str) -> str:
    """Where a file's modules are looked for: in the page's folder, or in the project that the file is of."""
    first = PurePosixPath(file).parts[0]
    return "." if first.removesuffix(".py").isidentifier() else first


@pytest.mark.slow
def test_what_the_guides_show_is_typed(tmp_path: Path) -> None:
    roots: dict[Path, None] = {}
    for path in PAGES:
        page = re.sub(r"\W", "_", str(path.relative_to(ROOT).with_suffix("")))
        found = [block for block in blocks(page, path.read_text()) if block.language == "python"]
        for name, text in lay_out(page, found).items():
            target = tmp_path / page / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            roots[tmp_path / page / root(name)] = None
    for source in EXAMPLE.rglob("*.py"):
        # Under another name: the page's package has this one.
        target = tmp_path / "example" / str(source.relative_to(EXAMPLE)).replace("tessy_", "our_")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text().replace("from tessy_every_other", "from our_every_other"))
    roots[tmp_path / "example"] = None
    # One call for all: what it takes is to read tessy. `await` by itself is for notebooks.
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--explicit-package-bases"]
    command += ["--follow-imports=silent", "--disable-error-code=top-level-await", str(tmp_path)]
    paths = os.pathsep.join(map(str, [*roots, ROOT, ROOT / "backends"]))
    environment = {**os.environ, "MYPYPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout.replace(f"{tmp_path}{os.sep}", "") + done.stderr
