"""A folder as a reader has it: prompts, two small models, and an environment that pip may install into."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Ran", "Workspace"]

ROOT = Path(__file__).parents[2]
_MINIATURE = ROOT / "examples" / "miniature"
_PROMPTS = 3
_NOTED = ("tessy", "pip", "make", "pytest", "python", "twine", "vllm", "llama-server")
"""Commands that a block which is not run may call."""
_SHELL = shutil.which("bash") or "bash"


@dataclass(frozen=True)
class Ran:
    """How a shell block ended, and what it printed, errors included."""

    code: int
    output: str


class Workspace:
    """One page's folder. What one block leaves there, and where it has gone to, the next one finds.

    It holds what pages speak of: ``prompts.jsonl`` (three rows), ``teacher.gguf`` and ``student.gguf`` (the
    miniature pair), ``examples``. The environment sees all that is installed for the tests, and the
    plugins of this repository; what pip installs goes there and nowhere else, without network.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / "work"
        self._cwd = self.folder
        self._state = root / "cwd"
        self._env = root / "env"
        self._bin = root / "bin"
        self._noted = root / "noted"
        for path in (self.folder, self._bin, self._noted):
            path.mkdir(parents=True)
        lines = (_MINIATURE / "prompts.jsonl").read_text().splitlines(keepends=True)
        (self.folder / "prompts.jsonl").write_text("".join(lines[:_PROMPTS]))
        for role in ("teacher", "student"):
            (self.folder / f"{role}.gguf").symlink_to(_MINIATURE / "models" / f"{role}.gguf")
        (self.folder / "examples").symlink_to(ROOT / "examples")
        self._make_env()
        for name, module in (("tessy", "tessy"), ("pip", "pip"), ("pytest", "pytest"), ("python", "")):
            # As an installed script would, it does not find modules where the reader is.
            arguments = f"-P -m {module} " if module else ""
            _script(self._bin / name, f'exec "{self._python}" {arguments}"$@"')
        for name in _NOTED:
            _script(self._noted / name, f'printf "%s\\0" {name} $# "$@" >> "$NOTED"')

    def write(self, name: str, text: str) -> None:
        """A file of the reader's, below where they are."""
        path = self._cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def cwd(self) -> Path:
        """Where the last shell block has gone to."""
        return self._cwd

    def run(self, script: str) -> Ran:
        """Play a shell block; it may take two minutes."""
        done = self._play(script, {"PATH": f"{self._bin}:{os.environ['PATH']}"})
        if self._state.exists():
            self._cwd = Path(self._state.read_text().strip())
        return Ran(done.returncode, done.stdout)

    def note(self, script: str) -> list[list[str]]:
        """Play a shell block with commands that do nothing; how they were called.

        Raises:
            ValueError: the shell cannot read it, or it calls anything else.
        """
        log = self._state.with_name("log")
        log.write_bytes(b"")
        done = self._play(script, {"PATH": str(self._noted), "NOTED": str(log)})
        if done.returncode or done.stdout.strip():
            raise ValueError(done.stdout or f"exit code {done.returncode}")
        return _calls(log.read_bytes().decode().split("\0")[:-1])

    def _play(self, script: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        traced = f"trap 'pwd > {self._state}' EXIT\nset -euo pipefail\n{script}"
        return subprocess.run(
            [_SHELL, "-c", traced],
            cwd=self._cwd, env={**os.environ, **_SETTINGS, **environ}, text=True, timeout=120, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def _make_env(self) -> None:
        venv.EnvBuilder(symlinks=True).create(self._env)
        self._python = self._env / "bin" / "python"
        site = next(self._env.glob("lib/python*/site-packages"))
        (site / "parent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
        projects = [path.parent for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))]
        for project in projects:
            _link(project, site)
        (site / "plugins.pth").write_text("".join(f"{project}\n" for project in projects))
        self.imports = [site, *projects]
        """What the environment can import besides what the tests can."""


_SETTINGS = {
    "PIP_NO_INDEX": "1",
    "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it so: the isolation is off
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_QUIET": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "backends")]),
    "PYTHONDONTWRITEBYTECODE": "1",
    "HF_HUB_OFFLINE": "1",
    "NO_COLOR": "1",
    "COLUMNS": "100",
    "LC_ALL": "C.UTF-8",
}


def _script(path: Path, line: str) -> None:
    path.write_text(f"#!{_SHELL}\n{line}\n")
    path.chmod(0o755)


def _link(project: Path, site: Path) -> None:
    """Make a plugin of this repository known as an installed one would be."""
    about = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    info = site / f"{about['name'].replace('-', '_')}-{about.get('version', '0')}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about.get('version', '0')}\n"
    )
    points = about["entry-points"]["tessy"]
    (info / "entry_points.txt").write_text(
        "[tessy]\n" + "".join(f"{name} = {to}\n" for name, to in points.items())
    )


def _calls(parts: list[str]) -> list[list[str]]:
    calls = []
    at = 0
    while at < len(parts):
        count = int(parts[at + 1])
        calls.append([parts[at], *parts[at + 2 : at + 2 + count]])
        at += 2 + count
    return calls
