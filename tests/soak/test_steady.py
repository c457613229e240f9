"""The short form of the long run: nothing is left over. Memory is flat only over minutes: ``make soak``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from soak.steady import steady


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_run_that_is_stopped_leaves_no_task_and_no_socket(tmp_path: Path) -> None:
    found = await steady(40, 5, tmp_path, every=0.1)
    assert max(one.sockets for one in found.samples) > found.before.sockets + 20
    assert all(left <= 0 for left in found.leaked), (found.before, found.after)
