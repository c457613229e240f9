"""How long to wait for a stream's formal end."""

from __future__ import annotations

__all__ = ["GRACE"]

GRACE = 2.0
"""Seconds from a stream's finish reason to its end. The text is whole; the usage may follow, at once."""
