"""Detector ``boundary``: the trained default, a small network over words."""

from __future__ import annotations

from tessy.detectors.boundary.detector import BoundaryDetector, BoundaryOptions

__all__ = ["BoundaryDetector", "BoundaryOptions"]
