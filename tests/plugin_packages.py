"""Real, tiny plugin packages: unpacked into a folder as pip would, or as wheels."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

POLICY = """
from tessy.hooks import Plugin, hookimpl

def load():
    from tessy import Done, Needs, SwitchPolicy

    class Mine(SwitchPolicy):
        needs = Needs(roles=("teacher",), continues=())

        def next_turn(self, trajectory):
            return Done()

    return Mine

@hookimpl
def tessy_switch_policies():
    return [Plugin("NAME", "a policy for tests", load)]
"""


def policy(name: str) -> str:
    """The source of a module that registers a policy."""
    return POLICY.replace("NAME", name)


def install(
    folder: Path,
    package: str,
    source: str,
    *,
    version: str = "1.0",
    requires: Sequence[str] = (),
    module: str | None = None,
    entry: str | None = None,
) -> str:
    """Put a package of one module on ``folder``; returns the module's name."""
    files, module = _files(package, source, version, requires, module, entry)
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return module


def wheel(
    folder: Path, package: str, source: str, *, version: str = "1.0", requires: Sequence[str] = ()
) -> Path:
    """Build the same as a wheel."""
    files, module = _files(package, source, version, requires, None, None)
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def _files(
    package: str, source: str, version: str, requires: Sequence[str], module: str | None, entry: str | None
) -> tuple[dict[str, str], str]:
    module = module or package.replace("-", "_")
    info = f"{package.replace('-', '_')}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {line}\n" for line in requires)
    files = {
        f"{module}.py": source,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[tessy]\n{entry or package} = {module}\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    return files, module
