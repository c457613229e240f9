"""The command ``tessy``."""

from __future__ import annotations

from tessy.cli.app import main

__all__ = ["main"]
