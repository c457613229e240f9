"""The Python API: what the command line does, as functions."""

from __future__ import annotations

from tessy.api.running import generate, run, run_async, stream
from tessy.api.settings import Row, Settings

__all__ = ["Row", "Settings", "generate", "run", "run_async", "stream"]
