"""Simulated servers in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import Any

__all__ = ["simulated_servers"]

_PATIENCE = 30.0


@contextmanager
def simulated_servers(models: Sequence[str] = ("simulated",), **options: Any) -> Iterator[Mapping[str, str]]:
    """Start servers, one a model, in one process; their URLs by model. They end with the block.

    Args:
        models: names; servers of one call write the same traces, each in a hand of its own.
        options: those of ``python -m tessy.testing.simulated``, with underscores: ``scale=10``,
            ``thinking=200``, ``cache_tokens=100_000``.

    Raises:
        RuntimeError: the process did not start; says what it said.
    """
    # With the other end of its standard input its starter holds its life, however that one ends.
    command = [sys.executable, "-m", "tessy.testing.simulated", "--until-stdin-ends"]
    command += [f"--model={name}" for name in models]
    command += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    # A pipe that nobody reads would fill up and stop the servers in the middle of a run; a file does not.
    with TemporaryFile("w+") as errors:
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True)
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().split() for _ in models]
            if not all(lines):
                process.wait(_PATIENCE)
                errors.seek(0)
                raise RuntimeError(f"{' '.join(command[1:])} does not start: {errors.read().strip()}")
            yield {name: url for url, name in lines}
        finally:
            process.terminate()
            process.communicate(timeout=_PATIENCE)
