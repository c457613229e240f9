"""The lock has what pyproject.toml asks for, in versions that it allows, each with hashes and no address."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
EXTRAS = ("llamacpp", "dev")
WANTED = [
    *PROJECT["dependencies"],
    *(one for extra in EXTRAS for one in PROJECT["optional-dependencies"][extra]),
]
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def locked() -> list[tuple[Requirement, int]]:
    """What is locked, and how many hashes it has."""
    lines = "\n".join(line for line in LOCK.splitlines() if not line.lstrip().startswith("#"))
    entries = [entry for entry in lines.replace("\\\n", " ").splitlines() if entry.strip()]
    return [(Requirement(entry.partition("--hash")[0]), len(HASH.findall(entry))) for entry in entries]


@pytest.mark.parametrize("wanted", WANTED)
def test_what_is_locked_is_what_is_asked_for(wanted: str) -> None:
    requirement = Requirement(wanted)
    name = canonicalize_name(requirement.name)
    found = [entry for entry, _ in locked() if canonicalize_name(entry.name) == name]
    assert found, f"{name} is not locked: make lock"
    for entry in found:
        (pin,) = entry.specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), f"{entry} is not {wanted}: make lock"


def test_every_entry_has_hashes_and_none_an_address() -> None:
    entries = locked()
    assert len(entries) > len(WANTED)
    assert [str(entry) for entry, hashes in entries if not hashes or entry.url] == []
    assert not re.search(r"://|--(index|extra-index|find-links|trusted)", LOCK)
