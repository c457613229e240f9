"""What this package registers; imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tessy import Plugin, hookimpl

if TYPE_CHECKING:
    from tessy_hf_boundary.detector import HfBoundaryDetector


def _load() -> type[HfBoundaryDetector]:
    from tessy_hf_boundary.detector import HfBoundaryDetector

    return HfBoundaryDetector


@hookimpl
def tessy_style_detectors() -> list[Plugin]:
    """The detector ``hf-boundary``."""
    return [Plugin("hf-boundary", "a token classifier from the Hugging Face hub or a folder", _load)]
