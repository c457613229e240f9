"""Runs to report on: a hostile one, and the same prompts by each model alone."""

from __future__ import annotations

from typing import Any

import pytest

import tessy
from tessy.rundata import RunData

PAIR: Any = {"teacher": "scripted:t?think=60", "student": "scripted:s?think=60"}
HOSTILE = (
    "</script><script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>"
    "<svg onload=window.pwned=3> javascript:pwned \u2028 \u2029 ]]> --> {{data}} &lt; é 🙂 \x1b[31m"
)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunData]:
    """``tessy`` with two failures, ``student-only``; prompts and ids try to break out of the page."""
    folder = tmp_path_factory.mktemp("report")
    prompts: list[Any] = [
        {"id": f"q{n}", "messages": [{"role": "user", "content": f"What is {n} times 7?"}]} for n in range(8)
    ]
    prompts[3] |= {"id": "<b onclick=alert(1)>q3</b>"}
    prompts[4]["messages"][0]["content"] = HOSTILE
    tessy.run(prompts=prompts, output=folder / "tessy", detector="lexicon", **PAIR)
    tessy.run(prompts=prompts, output=folder / "student-only", policy="student-only", student=PAIR["student"])
    tessy.run(prompts=prompts[:5], output=folder / "short", detector="lexicon", max_length=30, **PAIR)
    return [RunData(folder / name) for name in ("tessy", "student-only", "short")]
