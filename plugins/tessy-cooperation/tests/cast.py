"""All policies of this package, and scripted models that can do all they may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from tessy import SwitchPolicy
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy_cooperation.plugin import tessy_switch_policies

NAMES = [plugin.name for plugin in tessy_switch_policies()]


def make(name: str, **options: Any) -> SwitchPolicy:
    """A policy by its name."""
    cls = next(plugin.load() for plugin in tessy_switch_policies() if plugin.name == name)
    made: SwitchPolicy = cls(cls.Options(**options))
    return made


def odds(so_far: str, word: str) -> Mapping[str, float]:
    """Anything from sure to unsure, and a digit for a judge; follows from the place and the word alone."""
    own = 0.1 + 0.9 * (crc32(f"{len(so_far)}|{word}".encode()) % 1000) / 1000
    rest = 1 - own
    return {word: own, " x": rest * 0.6, str(crc32(word.encode()) % 10): rest * 0.3, " y": rest * 0.1}


def scripted(role: str, options: ScriptedOptions | None = None) -> ScriptedBackend:
    """A model with a plan, and odds of its own for every word."""
    return ScriptedBackend(role, options, odds=lambda so_far, word: odds(role + so_far, word))
