"""The public surface is locked, and every module keeps the house rules."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tessy
import tessy.abc
import tessy.errors
import tessy.hooks
import tessy.testing

ROOT = Path(__file__).parents[1]


def test_exported_names() -> None:
    assert sorted(tessy.__all__) == [
        "Backend", "Capabilities", "Chunk", "Context", "Cut", "Done", "Draft", "Keep", "Label", "Message",
        "Needs", "Options", "Plugin", "Prepared", "Prompt", "Reply", "Request", "Scores", "Selected",
        "Session", "Span", "StyleDetector", "SwitchPolicy", "TokenLogprob", "Trajectory", "Turn",
        "TurnRecord", "Usage", "Window", "__version__", "generate", "hookimpl", "run", "run_async", "stream",
    ]  # fmt: skip
    assert sorted(tessy.testing.__all__) == [
        "EchoBackend", "EchoOptions", "ScriptedBackend", "ScriptedDetector", "ScriptedOptions",
        "VirtualTimeLoop", "run_virtual",
    ]  # fmt: skip
    for module in (tessy, tessy.abc, tessy.errors, tessy.hooks, tessy.testing):
        assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("tessy/**/*.py")) + sorted(ROOT.glob("backends/**/*.py")), ids=str
)
def test_house_rules(path: Path) -> None:
    """Every module says what it is and what it exports, and stays readable in one go."""
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), path
    assert len(text.splitlines()) <= 400, path
    if path.name not in ("_version.py", "__main__.py"):
        assert any(
            isinstance(node, (ast.Assign, ast.AnnAssign)) and "__all__" in ast.unparse(node)
            for node in tree.body
        ), path


def test_every_error_is_in_the_tree_at_the_top() -> None:
    for name in tessy.errors.__all__:
        assert name in (tessy.errors.__doc__ or ""), name
