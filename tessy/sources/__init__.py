"""Where prompts come from: files, data sets, standard input, or rows that a program gives."""

from __future__ import annotations

from tessy.sources.source import read_rows

__all__ = ["read_rows"]
