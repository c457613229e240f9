"""Runs a command of tessy in a process of its own and measures it there, from when all is imported."""

from __future__ import annotations

import subprocess
import sys

__all__ = ["measured"]

_RUN = """
import resource, sys, time
from unittest.mock import patch
import tessy.export, tessy.report
from tessy.cli import main
began = time.perf_counter()
with patch.object(sys, "argv", ["tessy", *sys.argv[1:]]):
    try:
        main()
    except SystemExit as error:
        assert not error.code, error
print("FIGURES", time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def measured(*words: object) -> tuple[float, float]:
    """Seconds, and MiB held at most.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    command = [sys.executable, "-c", _RUN, *map(str, words)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    _, seconds, memory = next(line for line in found.stdout.splitlines() if "FIGURES" in line).split()
    return float(seconds), float(memory)
