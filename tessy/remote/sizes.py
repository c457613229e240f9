"""How much a server may send: without limits a hostile or mistaken one fills the memory."""

from __future__ import annotations

__all__ = ["LONGEST_LINE", "LONGEST_PAGE"]

LONGEST_LINE = 16 << 20
"""Bytes of one event of a stream; thousands of log-probabilities fit in."""
LONGEST_PAGE = 512 << 20
"""Bytes of one answer; scores of a long prompt with twenty alternatives a token fit in."""
