"""Every policy that we register keeps the contract; new ones are found by themselves."""

from __future__ import annotations

import pytest

from tessy.abc import SwitchPolicy
from tessy.plugins import Registry
from tessy.testing.suites import SwitchPolicySuite

REGISTRY = Registry.discover()
OURS = [e.name for e in REGISTRY.entries() if (e.kind, e.package) == ("policy", "tessy-llm")]


class TestShipped(SwitchPolicySuite):
    entry_point = "tessy.builtin"

    @pytest.fixture(params=OURS)
    def policy(self, request: pytest.FixtureRequest) -> SwitchPolicy:
        cls = REGISTRY.load("policy", request.param)
        return cls(cls.Options())
