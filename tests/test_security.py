"""No module runs what it reads: no pickles, no code from text, no shell, no unverified servers or models."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path
    for folder in ("tessy", "backends", "plugins", "examples")
    for path in (ROOT / folder).glob("**/*.py")
    if not {"tests", "build", ".venv"} & set(path.relative_to(ROOT).parts)
)
PICKLES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
CODE = {"eval", "exec", "compile", "__import__"}
LOADERS = {"load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all"}
UNSAFE_LOADERS = {"Loader", "FullLoader", "UnsafeLoader", "CLoader", "CFullLoader", "CUnsafeLoader"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
SHELLS |= {"asyncio.create_subprocess_shell", "ssl._create_unverified_context"}
MUST = {"trust_remote_code": (False,), "shell": (False,), "verify": (True,), "allow_pickle": (False,)}
"""Keywords, and the constants that they may be given."""
MUST |= {"weights_only": (True,)}


def imported(node: ast.AST) -> Iterator[str]:
    """Full names that an import statement brings in."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def keywords(call: ast.Call) -> Iterator[str]:
    """Arguments that turn a protection off, or might."""
    for keyword in call.keywords:
        name, value = keyword.arg, keyword.value
        constant = value.value if isinstance(value, ast.Constant) else ...
        if (name in MUST and constant not in MUST[name]) or (name == "ssl" and constant is False):
            yield f"{name}={ast.unparse(value)}"


def unsafe(text: str) -> list[str]:
    """What a module does that none may, with lines."""
    found = []
    for node in ast.walk(ast.parse(text)):
        said: list[str] = []
        for name in imported(node):
            said += [name] if name.partition(".")[0] in PICKLES or name in SHELLS else []
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            said += [name] if name in CODE | SHELLS or name.startswith("builtins.") else []
            said += [name] if name.startswith("yaml.") and name[5:] in LOADERS else []
            said += keywords(node)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "yaml":
            said += [node.attr] if node.attr in UNSAFE_LOADERS else []
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "ssl.CERT_NONE":
            said.append("ssl.CERT_NONE")
        elif isinstance(node, ast.Constant) and node.value == "trust_remote_code":
            said.append("'trust_remote_code'")
        found += [f"{getattr(node, 'lineno', 0)}: {one}" for one in said]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_run_nothing_that_they_read(path: Path) -> None:
    assert unsafe(path.read_text(encoding="utf-8")) == []


def test_all_shipped_code_is_looked_at() -> None:
    looked_at = {path.relative_to(ROOT).parts[0] for path in MODULES}
    assert looked_at == {"tessy", "backends", "plugins", "examples"}
    assert len(MODULES) > 100


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "import marshal as m",
        "import shelve",
        "from dill import load",
        "eval(text)",
        "exec(text)",
        "compile(text, 'f', 'exec')",
        "builtins.exec(text)",
        "yaml.load(text)",
        "yaml.unsafe_load(text)",
        "yaml.compose(text, Loader=yaml.FullLoader)",
        "os.system('ls')",
        "from os import system",
        "subprocess.run('ls', shell=True)",
        "subprocess.run('ls', shell=yes)",
        "client(verify=False)",
        "session.get(url, ssl=False)",
        "context.verify_mode = ssl.CERT_NONE",
        "load(name, trust_remote_code=True)",
        "load(name, trust_remote_code=options.trust)",
        "load(name, **{'trust_remote_code': True})",
        "numpy.load(path, allow_pickle=True)",
        "torch.load(path, weights_only=False)",
    ],
)
def test_what_is_unsafe_is_found(text: str) -> None:
    assert unsafe(text) != []


@pytest.mark.parametrize(
    "text",
    [
        "re.compile('x')",
        "model.eval()",
        "yaml.safe_load(text)",
        "json.load(file)",
        "f(verify=True, shell=False)",
    ],
)
def test_what_is_safe_is_not(text: str) -> None:
    assert unsafe(text) == []
