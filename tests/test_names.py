"""The core knows no policy, detector or backend by its name: a new one is a file and an entry in a list."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessy.builtin import ARCHITECTURES
from tessy.plugins import Registry

ROOT = Path(__file__).parents[1] / "tessy"
OWN = ("policies", "detectors", "testing")
"""Folders of plugins; ``scripted`` lives in ``testing``."""
OURS = {entry.name for entry in Registry.discover().entries() if entry.kind and entry.package == "tessy-llm"}
NAMES = (OURS | {one.detector for one in ARCHITECTURES.values()}) - {"tessy"}
CORE = [
    path
    for path in sorted(ROOT.glob("**/*.py"))
    if path.name != "builtin.py" and path.relative_to(ROOT).parts[0] not in OWN
]
# The program is called as its first policy is: there, only what can mean the policy counts.
POLICY = r"(default|policy|policies|--policy)[:=\s]+['\"]?tessy(?![\w-])|\btessy\?"
NAMED = re.compile(rf"(?<![\w.-])({'|'.join(map(re.escape, sorted(NAMES)))})(?![\w-])|{POLICY}")
CALLS = ("Spec", "parse", "load")
"""Functions that take a plugin's name."""


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """All strings but docstrings, with their lines."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value


def named(text: str) -> list[str]:
    """Where a module names a plugin: in a string, in a SPEC, or by importing its code."""
    tree = ast.parse(text)
    found = [f"{line}: {value!r}" for line, value in strings(tree) if NAMED.search(value)]
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in CALLS:
            found += [
                f"{node.lineno}: {arg.value!r}"
                for arg in node.args
                if isinstance(arg, ast.Constant) and arg.value in OURS
            ]
        found += [
            f"{node.lineno}: import {module}"
            for module in modules
            if re.match(r"(tessy\.(policies|detectors|testing)|tessy_\w+)(\.|$)", module)
        ]
    return found


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_plugin_is_named(path: Path) -> None:
    assert named(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        'chosen = Spec("tessy")',
        'spec = Spec.parse("policy", "tessy")',
        'help = "default: tessy."',
        'example = "tessy?k=20"',
        'if name == "teacher-mix":\n    pass',
        'architecture = "boundary"',
        'spec = f"hf-boundary:{folder}"',
        "from tessy.policies.alternate import TessyPolicy",
        "def f() -> None:\n    import tessy_llamacpp.backend",
        "from tessy import detectors",
    ],
)
def test_what_would_name_one_is_found(text: str) -> None:
    assert named(text)


@pytest.mark.parametrize(
    "text",
    [
        '"""Policy ``tessy``, detector ``boundary``."""',
        'row["tessy"]["spans"]',
        'print("tessy: stopping")',
        'raise ConfigError("name a file, as in: tessy run prompts.jsonl")',
        "import tessy\nfrom tessy.boundary import plugin",
        'what = "within-boundary"',
        'help = "The package; default: tessy-NAME."',
    ],
)
def test_what_only_looks_like_it_is_not(text: str) -> None:
    assert named(text) == []
