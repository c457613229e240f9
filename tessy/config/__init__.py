"""What a run is asked to do: read from a file and flags, then resolved to constructed plugins."""

from __future__ import annotations

from tessy.config.load import load
from tessy.config.model import ALL_ROLES, RunConfig
from tessy.config.resolve import Maker, Resolved, resolve

__all__ = ["ALL_ROLES", "Maker", "Resolved", "RunConfig", "load", "resolve"]
