"""The short form of the faulty network; ``make soak`` runs the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from soak.faults import suffer


@pytest.mark.parametrize("backend", ["vllm", "openai"])
async def test_a_fifth_of_all_requests_fail_and_no_character_differs(backend: str, tmp_path: Path) -> None:
    found = await suffer(16, rate=0.2, seed=1, folder=tmp_path, backend=backend)
    assert found.clean, f"{found}\n{found.said[-2000:]}"
    assert found.struck.total() >= 10
