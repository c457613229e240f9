"""How a suite's test is tried on a faulty plugin."""

from __future__ import annotations

from typing import Any

import pytest

from tessy.testing.suites.base import Suite

FAILURES = (AssertionError, pytest.fail.Exception)


def named(value: object) -> str:
    return value if isinstance(value, str) else type(value).__name__


def found(suite: type[Suite], name: str, *arguments: Any) -> None:
    """That test of the suite fails."""

    class TestIt(suite):  # type: ignore[misc, valid-type]
        timeout = 2.0

    with pytest.raises(FAILURES):
        getattr(TestIt(), name)(*arguments)
