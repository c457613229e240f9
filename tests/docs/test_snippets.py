"""Every snippet in README and docs runs, or is at least held against the real program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.blocks import blocks, inline_code
from docs.commands import check_inline
from docs.play import Page
from docs.workspace import ROOT, Workspace

PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for pattern in ("README.md", "docs/*.md", "examples/*/README.md", "plugins/*/README.md")
    for path in sorted(ROOT.glob(pattern))
    if path.name != "cli.md"  # written from the program's own help
}


@pytest.mark.engine
@pytest.mark.parametrize("page", sorted(PAGES))
def test_blocks(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = blocks(page, PAGES[page])
    if not found:
        return
    workspace = Workspace(tmp_path)
    for path in workspace.imports:
        monkeypatch.syspath_prepend(str(path))
    state = Page(workspace)
    for block in found:
        state.play(block)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_commands_in_running_text(page: str) -> None:
    for code in inline_code(PAGES[page]):
        if re.match(r"tessy (-|[a-z])", code):
            check_inline(code)
