from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tessy.testing.suites import StyleDetectorSuite
from tessy_hf_boundary.detector import HfBoundaryDetector
from tessy_hf_boundary.options import HfBoundaryOptions


class TestHfBoundary(StyleDetectorSuite):
    entry_point = "tessy_hf_boundary.plugin"
    cuttings = 3

    @pytest.fixture(params=["next", "own", "bert"])
    def detector(self, folders: Callable[[str], Path], request: pytest.FixtureRequest) -> HfBoundaryDetector:
        return HfBoundaryDetector(HfBoundaryOptions(), model=str(folders(request.param)))
