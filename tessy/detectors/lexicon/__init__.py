"""Detector ``lexicon``: style by rules and word lists."""

from __future__ import annotations

from tessy.detectors.lexicon.detector import LexiconDetector, LexiconOptions

__all__ = ["LexiconDetector", "LexiconOptions"]
