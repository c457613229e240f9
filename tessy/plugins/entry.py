"""What is known about a plugin without loading its class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["HERE", "HOOKS", "NO_PACKAGE", "OURS", "Entry", "Kind", "Status"]

Kind = Literal["backend", "detector", "policy"]
Status = Literal["ok", "broken", "incompatible", "disabled"]

HOOKS: Mapping[str, Kind] = {
    "tessy_backends": "backend",
    "tessy_style_detectors": "detector",
    "tessy_switch_policies": "policy",
}
"""Which hook registers which kind."""
OURS = "tessy-llm"
"""The name of our own distribution."""
HERE = "this program"
"""In place of a package's name, for what a program gives the Python API directly."""
NO_PACKAGE = "(unknown)"
"""In place of a package's name, where its metadata has none."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of ``tessy plugins``.

    ``kind`` is ``None`` where a package did not get far enough to say; ``name`` is then that of its
    entry point. ``reason`` says what is wrong, for every status but ``ok``.
    """

    kind: Kind | None
    name: str
    package: str
    version: str
    status: Status = "ok"
    reason: str = ""
    summary: str = ""
