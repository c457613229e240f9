"""Our detectors keep the contract; `hf-boundary` runs the suite among its own tests."""

from __future__ import annotations

import pytest

from tessy.abc import StyleDetector
from tessy.detectors.boundary import BoundaryDetector, BoundaryOptions
from tessy.detectors.lexicon import LexiconDetector, LexiconOptions
from tessy.testing import ScriptedDetector
from tessy.testing.suites import StyleDetectorSuite


class TestLexicon(StyleDetectorSuite):
    entry_point = "tessy.builtin"

    @pytest.fixture(params=["", "mind you, by golly gosh"])
    def detector(self, request: pytest.FixtureRequest) -> StyleDetector:
        return LexiconDetector(LexiconOptions(extra_style=request.param))


class TestBoundary(StyleDetectorSuite):
    entry_point = "tessy.builtin"

    @pytest.fixture(params=[0, 1, 2, 4])
    def detector(self, request: pytest.FixtureRequest) -> StyleDetector:
        return BoundaryDetector(BoundaryOptions(look=request.param))


class TestScripted(StyleDetectorSuite):
    @pytest.fixture
    def detector(self) -> StyleDetector:
        return ScriptedDetector()
