"""Chat formats: how a model's prompt is rendered, and how its thinking opens and closes."""

from __future__ import annotations

from tessy.formats.base import ChatFormat, Piece
from tessy.formats.builtin import BUILTIN, load_template
from tessy.formats.detect import detect

__all__ = ["BUILTIN", "ChatFormat", "Piece", "detect", "load_template"]
