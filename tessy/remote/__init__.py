"""Limits and endpoints, one layer for all remote backends."""

from __future__ import annotations

from tessy.remote.options import RemoteOptions

__all__ = ["RemoteOptions"]
