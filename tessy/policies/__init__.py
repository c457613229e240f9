"""The shipped switch policies, one file an idea."""

from __future__ import annotations

__all__: list[str] = []
