"""Finds plugins, keeps what is wrong with them as data, and loads the one that is wanted."""

from __future__ import annotations

from tessy.plugins.entry import Entry, Kind, Status
from tessy.plugins.registry import Registry

__all__ = ["Entry", "Kind", "Registry", "Status"]
