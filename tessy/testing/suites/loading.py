"""Whether a run could load the package that is under test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import pytest

from tessy.hooks import GROUP
from tessy.plugins.entry import Kind

__all__ = ["check_loading", "environment"]

_SECONDS = 120
"""That a package may take to be imported, with what its classes run on."""


def environment() -> Mapping[str, str]:
    """For a fresh interpreter. Where this process finds a module it does, too: nothing need be installed."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def check_loading(plugin: object, entry_point: str | None, kind: Kind) -> None:
    """A run finds the plugin's class behind the entry point, by the hook of its kind, and can load it.

    Where none is named, what the installed package of that class names must at least be whole.
    """
    cls = type(plugin)
    if entry_point is None:
        modules = _named(cls)
        if not modules:
            pytest.skip("no entry point is named")  # as `test_entry_point_is_cheap` does
        for module in modules:
            _whole(module, kind)
        return
    found = _whole(entry_point, kind)
    known = {f"{base.__module__}:{base.__qualname__}" for base in cls.__mro__}
    mine = f"{cls.__module__}:{cls.__qualname__}"
    # A test may take a class that is derived from what is registered, or the other way round.
    if any(bases[0] in known or mine in bases for bases in found["classes"]):
        return
    names = ", ".join(found["names"])
    said = "".join(f"; {one}" for one in found["unusable"])
    raise AssertionError(
        f"no run would load {mine}: {entry_point} registers {kind} {names}, another class{said}"
    )


def _named(cls: type) -> list[str]:
    """The modules that an installed package names, if the class is of such a one."""
    top = cls.__module__.partition(".")[0]
    modules = [point.module for point in entry_points(group=GROUP)]
    return [module for module in dict.fromkeys(modules) if module.partition(".")[0] == top]


def _whole(entry_point: str, kind: Kind) -> Mapping[str, Any]:
    """What is found behind an entry point with nothing wrong in it."""
    found = _probed(entry_point, kind)
    assert not found["faults"], f"no run could load it: {'; '.join(found['faults'])}"
    return found


@cache
def _probed(entry_point: str, kind: Kind) -> Mapping[str, Any]:
    """What a fresh interpreter finds, which has imported nothing before the entry point."""
    command = [sys.executable, "-c", "from tessy.plugins.probe import main; main()", entry_point, kind]
    try:
        made = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, env={**environment()}, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"no run could load it: importing {entry_point} takes more than {_SECONDS} s")
    # What a package prints while it is imported, or when the interpreter ends, is no matter.
    lines = [line for line in made.stdout.splitlines() if line.startswith('{"faults": ')]
    if made.returncode != 0 or not lines:
        pytest.fail(f"no run could load it: importing {entry_point} ends the interpreter\n{made.stderr}")
    found: Mapping[str, Any] = json.loads(lines[-1])
    return found
