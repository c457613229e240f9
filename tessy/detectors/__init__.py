"""The shipped style detectors, one package an idea."""

from __future__ import annotations

__all__: list[str] = []
