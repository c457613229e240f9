"""What a method needs and a backend lacks is refused before the start, by the capability's name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cast import NAMES, make
from scorer import Scorer
from tessy import Capabilities, Prompt, Session
from tessy.errors import ConfigError
from tessy.testing import ScriptedBackend, run_virtual
from tessy.testing.suites.runs import Cast, write

ENOUGH = Capabilities(top_logprobs=25, ranks=True, scoring=True, vocabulary="words")
LACKS: list[tuple[str, str, dict[str, Any], str]] = [
    *(
        (name, role, {"continuation": False}, "continuation")
        for name in NAMES
        for role in ("teacher", "student")
    ),
    ("specreason", "teacher", {"top_logprobs": 9}, "top_logprobs"),
    ("nudging", "teacher", {"top_logprobs": 0}, "top_logprobs"),
    ("r2r-entropy", "student", {"top_logprobs": 19}, "top_logprobs"),
    ("glimprouter", "student", {"top_logprobs": 19}, "top_logprobs"),
    ("adaswitch", "student", {"top_logprobs": 19}, "top_logprobs"),
    ("adaswitch", "teacher", {"top_logprobs": 19}, "top_logprobs"),
    ("adaswitch", "teacher", {"scoring": False}, "scoring"),
    ("skd", "teacher", {"top_logprobs": 24}, "top_logprobs"),
    ("skd", "teacher", {"scoring": False}, "scoring"),
    *(
        (name, "teacher", {"vocabulary": other}, "vocabulary")
        for name in ("r2r-entropy", "adaswitch", "skd")
        for other in (None, "others")
    ),
]


class Able(ScriptedBackend):
    """A scripted model with stated capabilities, that counts its sessions."""

    def __init__(self, role: str, can: Capabilities) -> None:
        super().__init__(role)
        self.can = can
        self.asked = 0

    @property
    def capabilities(self) -> Capabilities:
        return self.can

    def session(self, prompt: Prompt, key: str) -> Session:
        self.asked += 1
        return super().session(prompt, key)


def attempt(folder: Path, name: str, **can: Capabilities) -> tuple[str, int]:
    """Run a policy on such models: why it was refused, and how many sessions were opened."""
    policy = make(name)
    backends = {role: Able(role, can.get(role, ENOUGH)) for role in ("teacher", "student")}
    refused = ""
    try:
        run_virtual(write(folder, Cast(policy, backends, Scorer() if policy.needs.labels else None), rows=1))
    except ConfigError as error:
        refused = str(error)
    return refused, sum(backend.asked for backend in backends.values())


@pytest.mark.parametrize(("name", "role", "lack", "capability"), LACKS)
def test_what_is_lacking_is_named_before_anything_is_asked(
    tmp_path: Path, name: str, role: str, lack: dict[str, Any], capability: str
) -> None:
    refused, asked = attempt(tmp_path / "run", name, **{role: replace(ENOUGH, **lack)})
    assert capability in refused
    assert role in refused
    assert asked == 0


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_needed_may_be_lacking(tmp_path: Path, name: str) -> None:
    """Both models lack all that the list above does not hold for this policy."""
    needed = {(role, key) for n, role, lack, _ in LACKS if n == name for key in lack}
    needed |= {("student", key) for _, key in needed if key == "vocabulary"}
    lacks = {"top_logprobs": 0, "ranks": False, "scoring": False, "vocabulary": None}
    able = {
        role: replace(ENOUGH, **{k: v for k, v in lacks.items() if (role, k) not in needed})
        for role in ("teacher", "student")
    }
    refused, asked = attempt(tmp_path / "run", name, **able)
    assert refused == ""
    assert asked > 0
