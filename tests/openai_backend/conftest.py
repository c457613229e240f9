"""The key that the stand-in wants."""

from __future__ import annotations

import pytest

from openai_standin import KEY


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSY_TEST_KEY", KEY)
