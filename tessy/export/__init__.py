"""Turns finished runs into training data: formats, filters, splits, loss masks, a data-set card."""

from __future__ import annotations

from tessy.export.exporting import Exported, export
from tessy.export.settings import Settings

__all__ = ["Exported", "Settings", "export"]
