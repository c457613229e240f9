"""What a plugin package registers, and how.

A plugin package names a module in the entry-point group ``tessy``; the module holds hook
implementations only and imports nothing heavy::

    from tessy.hooks import Plugin, hookimpl

    def _load():
        from my_package.policy import MyPolicy
        return MyPolicy

    @hookimpl
    def tessy_switch_policies():
        return [Plugin("mine", "switches when I say so", _load)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pluggy

__all__ = ["GROUP", "Plugin", "hookimpl", "hookspec"]

GROUP = "tessy"
"""Entry-point group, and the project name that pluggy's markers carry."""

hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker(GROUP)
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker(GROUP)


@dataclass(frozen=True, slots=True)
class Plugin:
    """One registered thing: its name, one line about it, and a function that imports its class."""

    name: str
    summary: str
    load: Callable[[], type[Any]]


@hookspec
def tessy_backends() -> Iterable[Plugin]:
    """Backends: ``load`` returns a subclass of `tessy.abc.Backend`.

    Example:
        ``return [Plugin("myengine", "my engine, in process", load_backend)]``
    """
    raise NotImplementedError


@hookspec
def tessy_style_detectors() -> Iterable[Plugin]:
    """Style detectors: ``load`` returns a subclass of `tessy.abc.StyleDetector`.

    Example:
        ``return [Plugin("keywords", "cuts at my keywords", load_detector)]``
    """
    raise NotImplementedError


@hookspec
def tessy_switch_policies() -> Iterable[Plugin]:
    """Switch policies: ``load`` returns a subclass of `tessy.abc.SwitchPolicy`.

    Example:
        ``return [Plugin("coin", "a coin decides who writes", load_policy)]``
    """
    raise NotImplementedError
