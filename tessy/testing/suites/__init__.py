"""Conformance suites: what every backend, style detector and switch policy must keep, as tests to inherit.

A plugin's test file derives a class from the suite of its kind and gives one fixture, which returns the
plugin constructed but not started::

    from tessy.testing.suites import SwitchPolicySuite

    class TestMine(SwitchPolicySuite):
        entry_point = "tessy_mine.plugin"

        @pytest.fixture
        def policy(self) -> MinePolicy:
            return MinePolicy(MineOptions())

The suites need pytest and nothing besides; each test runs its own event loop. What a backend does not claim
in its capabilities is not asked of it. A test that does not apply is named in ``exempt`` with the reason; one
that is dropped, skipped or overridden without that is an error.
"""

from __future__ import annotations

import pytest

# Before they are imported, so that a plugin's author sees the values of what failed.
pytest.register_assert_rewrite(
    "tessy.testing.suites.backend",
    "tessy.testing.suites.base",
    "tessy.testing.suites.checks",
    "tessy.testing.suites.detector",
    "tessy.testing.suites.generation",
    "tessy.testing.suites.loading",
    "tessy.testing.suites.policy",
    "tessy.testing.suites.runs",
)

from tessy.testing.suites.backend import BackendSuite  # noqa: E402
from tessy.testing.suites.detector import StyleDetectorSuite  # noqa: E402
from tessy.testing.suites.policy import SwitchPolicySuite  # noqa: E402

__all__ = ["BackendSuite", "StyleDetectorSuite", "SwitchPolicySuite"]
