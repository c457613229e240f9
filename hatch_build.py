"""Compiles the C of detector ``boundary`` when tessy is built or installed, where there is a compiler.

Without one, tessy is the same and slower: numpy computes what the C does. On Windows it always does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "tessy/detectors/boundary/kernel.c"
LIBRARY = "tessy/detectors/boundary/_kernel.so"
"""By this name on every system; `tessy.detectors.boundary.kernel` loads it."""


class Kernel(BuildHookInterface[Any]):
    """Adds the library to a wheel; for an editable install it stands beside its source."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects the files."""
        if self.target_name != "wheel" or not self._compiled():
            return
        build_data["artifacts"].append(LIBRARY)
        # It is of the platform, of no version of Python.
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().translate(str.maketrans('-.', '__'))}"

    def _compiled(self) -> bool:
        source, library = Path(self.root, SOURCE), Path(self.root, LIBRARY)
        command = _compiler()
        if command is None:
            self.app.display_warning("no C compiler: detector boundary will compute with numpy")
            library.unlink(missing_ok=True)
            return False
        # Beside the old one, then in its place: a run that uses that one keeps it.
        made = library.with_suffix(f".{os.getpid()}")
        flags = ["-O3", "-shared", "-fPIC", "-fvisibility=hidden", *shlex.split(os.environ.get("CFLAGS", ""))]
        done = subprocess.run(
            [*command, *flags, str(source), "-o", str(made)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = done.stderr.strip() or f"{command[0]} ended with {done.returncode}"
            self.app.display_warning(
                f"{SOURCE} was not compiled, detector boundary will compute with numpy: {said}"
            )
            made.unlink(missing_ok=True)
            library.unlink(missing_ok=True)
            return False
        made.replace(library)
        return True


def _compiler() -> list[str] | None:
    """That which is asked for in ``CC``, else the system's; ``CC=`` (nothing) leaves the C out."""
    if sys.platform == "win32":
        return None
    command = shlex.split(os.environ.get("CC", "cc"))
    return command if command and shutil.which(command[0]) else None
