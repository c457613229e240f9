"""New plugin packages: a small working example of its kind that its author grows into their own."""

from __future__ import annotations

from tessy.scaffold.blueprint import Blueprint
from tessy.scaffold.writing import write

__all__ = ["Blueprint", "write"]
