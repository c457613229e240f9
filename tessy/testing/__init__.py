"""What plugin authors and our own tests use in place of engines and wall clocks."""

from __future__ import annotations

from tessy.testing.clock import VirtualTimeLoop
from tessy.testing.scripted import ScriptedBackend, ScriptedOptions

__all__ = ["ScriptedBackend", "ScriptedOptions", "VirtualTimeLoop"]
