"""What plugin authors and our own tests use in place of engines and wall clocks."""

from __future__ import annotations

from tessy.testing.clock import VirtualTimeLoop, run_virtual
from tessy.testing.echo import EchoBackend, EchoOptions
from tessy.testing.scripted import ScriptedBackend, ScriptedOptions
from tessy.testing.words import ScriptedDetector

__all__ = [
    "EchoBackend",
    "EchoOptions",
    "ScriptedBackend",
    "ScriptedDetector",
    "ScriptedOptions",
    "VirtualTimeLoop",
    "run_virtual",
]
