"""The public surface is locked, and the docs name all of it that users meet."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tessy
import tessy.abc
import tessy.errors
import tessy.hooks
import tessy.testing
from tessy.config import RunConfig
from tessy.options import describe
from tessy.plugins import Registry

ROOT = Path(__file__).parents[1]
DOCS = {path.name: path.read_text() for path in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]}


def test_exported_names() -> None:
    assert sorted(tessy.__all__) == [
        "Backend", "Capabilities", "Chunk", "Context", "Cut", "Done", "Draft", "Keep", "Label", "Message",
        "Needs", "Options", "Plugin", "Prepared", "Prompt", "Reply", "Request", "Scores", "Selected",
        "Session", "Span", "StyleDetector", "SwitchPolicy", "TokenLogprob", "Trajectory", "Turn",
        "TurnRecord", "Usage", "Window", "__version__", "hookimpl",
    ]  # fmt: skip
    assert sorted(tessy.testing.__all__) == ["ScriptedBackend", "ScriptedOptions", "VirtualTimeLoop"]
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


def test_every_shipped_plugin_and_its_options_are_documented() -> None:
    registry = Registry.discover()
    pages = {"backend": "backends.md", "detector": "detectors.md", "policy": "policies.md"}
    for entry in registry.entries():
        if entry.package != "tessy-llm" or entry.kind is None:
            continue
        page = DOCS[pages[entry.kind]]
        assert f"`{entry.name}`" in page, entry.name
        if entry.kind == "policy":
            for option in describe(registry.load(entry.kind, entry.name)):
                assert f"`{option.name}`" in page, (entry.name, option.name)


def test_every_hook_and_exit_code_is_documented() -> None:
    for name in ("tessy_backends", "tessy_style_detectors", "tessy_switch_policies"):
        assert f"`{name}`" in DOCS["plugins.md"]
    for code in (0, 1, 2, 3, 130):
        assert f"| {code} |" in DOCS["runs.md"]


@pytest.mark.parametrize("name", sorted(DOCS))
def test_python_in_the_docs_runs(name: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS[name], re.S)
    for i, block in enumerate(blocks):
        path = tmp_path / f"block{i}.py"
        path.write_text(block)
        subprocess.run([sys.executable, str(path)], check=True, timeout=60)


@pytest.mark.parametrize("name", sorted(DOCS))
def test_links_in_the_docs_lead_somewhere(name: str) -> None:
    base = ROOT if name == "README.md" else ROOT / "docs"
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", DOCS[name]):
        assert target.startswith("https://") or (base / target).exists(), target


def test_the_commands_page_is_the_programs_own_help() -> None:
    made = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.path.insert(0, 'docs'); import make_cli; print(make_cli.page(), end='')",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert DOCS["cli.md"] == made.stdout, "run: python docs/make_cli.py"


def test_every_setting_is_documented() -> None:
    for name in RunConfig.model_fields:
        assert f"| `{name}` |" in DOCS["configuration.md"], name
    for variable in ("TESSY_DISABLE_PLUGINS", "TESSY_LOAD_PLUGINS", "TESSY_DEBUG"):
        assert f"| `{variable}` |" in DOCS["configuration.md"]
