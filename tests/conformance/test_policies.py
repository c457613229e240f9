"""Every policy that we register keeps the contract; new ones are found by themselves."""

from __future__ import annotations

import pytest

from policies.stage import POLICIES, by_length, judging, policy
from tessy.abc import Backend, SwitchPolicy
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.testing.suites import SwitchPolicySuite
from tessy.types import Role


class TestShipped(SwitchPolicySuite):
    entry_point = "tessy.builtin"

    @pytest.fixture(params=POLICIES)
    def policy(self, request: pytest.FixtureRequest) -> SwitchPolicy:
        return policy(request.param)

    def backend(self, role: Role, options: ScriptedOptions) -> Backend:
        """A teacher that is asked for a score gives one."""
        script = judging(by_length, options) if role == "teacher" else None
        return ScriptedBackend(role, options, script=script)
